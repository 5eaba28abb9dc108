// Cells of Lattice iCE40 of which Yosys has only shells, or more than can be simulated fast, for the attributes that
// Weft's netlists have: anything else stops the simulation. Vendor's document: FPGA-TN-02052 (PLL).

`timescale 1ps / 1ps

// A pad: an input, or an output that is always on; no registers.
module SB_IO (
    inout PACKAGE_PIN, input LATCH_INPUT_VALUE, CLOCK_ENABLE, INPUT_CLK, OUTPUT_CLK, OUTPUT_ENABLE, D_OUT_0, D_OUT_1,
    output D_IN_0, D_IN_1
);
    parameter [5:0] PIN_TYPE = 0;
    parameter [0:0] PULLUP = 0, NEG_TRIGGER = 0;
    parameter IO_STANDARD = "SB_LVCMOS";
    localparam [5:0] INPUT = 6'b000001, OUTPUT = 6'b101001;
    generate
        if (PIN_TYPE == INPUT) assign D_IN_0 = PACKAGE_PIN;
        else if (PIN_TYPE == OUTPUT) begin
            assign PACKAGE_PIN = D_OUT_0;
            always @* if (!OUTPUT_ENABLE) $fatal(1, "SB_IO that is switched off is not modelled");
        end else initial $fatal(1, "SB_IO with PIN_TYPE = %b is not modelled", PIN_TYPE);
    endgenerate
endmodule

// A clock made of a pin's: PACKAGEPIN * (DIVF + 1) / (DIVR + 1) / 2**DIVQ.
module SB_PLL40_PAD (
    input PACKAGEPIN, output PLLOUTCORE, output reg PLLOUTGLOBAL, input EXTFEEDBACK, input [7:0] DYNAMICDELAY,
    output reg LOCK, input BYPASS, RESETB, LATCHINPUTVALUE, output SDO, input SDI, SCLK
);
    parameter FEEDBACK_PATH = "SIMPLE", PLLOUT_SELECT = "GENCLK";
    parameter DIVR = 0, DIVF = 0, DIVQ = 0, FILTER_RANGE = 0;
    realtime last, half;
    initial begin
        PLLOUTGLOBAL = 0;
        LOCK = 0;
        if (FEEDBACK_PATH != "SIMPLE" || PLLOUT_SELECT != "GENCLK")
            $fatal(1, "SB_PLL40_PAD with another feedback or output is not modelled");
        @(posedge PACKAGEPIN) last = $realtime;
        @(posedge PACKAGEPIN) half = ($realtime - last) * (DIVR + 1) / (DIVF + 1) * (1 << DIVQ) / 2;
        if (half * 2 / (1 << DIVQ) < 938 || half * 2 / (1 << DIVQ) > 1876)
            $fatal(1, "SB_PLL40_PAD: an oscillator of %0f ps; it runs at 533 to 1066 MHz", half * 2 / (1 << DIVQ));
        forever #(half) PLLOUTGLOBAL = ~PLLOUTGLOBAL;
    end
    initial begin
        repeat (32) @(posedge PLLOUTGLOBAL);
        LOCK = 1;
    end
    assign PLLOUTCORE = PLLOUTGLOBAL;
    always @* if (BYPASS || !RESETB) $fatal(1, "SB_PLL40_PAD in bypass or reset is not modelled");
endmodule
