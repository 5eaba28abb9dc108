// Cells of Lattice ECP5 of which Yosys has only shells, for the attributes that Weft's netlists have: anything else stops
// the simulation. Layout of words and addresses: as Yosys maps memories to them (lattice/brams_map_16kd.v of its share).
// Vendor's documents: FPGA-TN-02204 (memory), FPGA-TN-02205 (DSP), FPGA-TN-02200 (PLL).

`timescale 1ps / 1ps

// A pad.
module TRELLIS_IO (inout B, input I, T, output O);
    parameter DIR = "INPUT";
    generate
        if (DIR == "INPUT") assign O = B;
        else if (DIR == "OUTPUT") assign B = I;
        else initial $fatal(1, "TRELLIS_IO with DIR = %s is not modelled", DIR);
    endgenerate
    always @(T) if (T && DIR == "OUTPUT") $fatal(1, "TRELLIS_IO that is switched off is not modelled");
endmodule

// A product without registers.
module MULT18X18D (
    input
        A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0, B17, B16, B15, B14, B13, B12,
        B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0, C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5,
        C4, C3, C2, C1, C0, SRIA17, SRIA16, SRIA15, SRIA14, SRIA13, SRIA12, SRIA11, SRIA10, SRIA9, SRIA8, SRIA7,
        SRIA6, SRIA5, SRIA4, SRIA3, SRIA2, SRIA1, SRIA0, SRIB17, SRIB16, SRIB15, SRIB14, SRIB13, SRIB12, SRIB11,
        SRIB10, SRIB9, SRIB8, SRIB7, SRIB6, SRIB5, SRIB4, SRIB3, SRIB2, SRIB1, SRIB0, SIGNEDA, SIGNEDB, SOURCEA,
        SOURCEB, CLK0, CLK1, CLK2, CLK3, CE0, CE1, CE2, CE3, RST0, RST1, RST2, RST3,
    output
        P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15, P14,
        P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0, SIGNEDP, SROA17, SROA16, SROA15, SROA14, SROA13,
        SROA12, SROA11, SROA10, SROA9, SROA8, SROA7, SROA6, SROA5, SROA4, SROA3, SROA2, SROA1, SROA0, SROB17, SROB16,
        SROB15, SROB14, SROB13, SROB12, SROB11, SROB10, SROB9, SROB8, SROB7, SROB6, SROB5, SROB4, SROB3, SROB2, SROB1,
        SROB0, ROA17, ROA16, ROA15, ROA14, ROA13, ROA12, ROA11, ROA10, ROA9, ROA8, ROA7, ROA6, ROA5, ROA4, ROA3, ROA2,
        ROA1, ROA0, ROB17, ROB16, ROB15, ROB14, ROB13, ROB12, ROB11, ROB10, ROB9, ROB8, ROB7, ROB6, ROB5, ROB4, ROB3,
        ROB2, ROB1, ROB0, ROC17, ROC16, ROC15, ROC14, ROC13, ROC12, ROC11, ROC10, ROC9, ROC8, ROC7, ROC6, ROC5, ROC4,
        ROC3, ROC2, ROC1, ROC0
);
    parameter REG_INPUTA_CLK = "NONE", REG_INPUTB_CLK = "NONE", REG_INPUTC_CLK = "NONE";
    parameter REG_PIPELINE_CLK = "NONE", REG_OUTPUT_CLK = "NONE", MULT_BYPASS = "DISABLED", GSR = "ENABLED";
    localparam BARE =
        REG_INPUTA_CLK == "NONE" && REG_INPUTB_CLK == "NONE" && REG_PIPELINE_CLK == "NONE" && REG_OUTPUT_CLK == "NONE";
    localparam REGISTERED =
        REG_INPUTA_CLK == "CLK0" && REG_INPUTB_CLK == "CLK0" && REG_PIPELINE_CLK == "CLK0" && REG_OUTPUT_CLK == "CLK0";
    initial
        if (!(BARE || REGISTERED) || REG_INPUTC_CLK != "NONE" || MULT_BYPASS != "DISABLED")
            $fatal(1, "MULT18X18D with some registers or bypass is not modelled");
    always @*
        if (REGISTERED && (!CE0 || RST0)) $fatal(1, "MULT18X18D with registers that stop is not modelled");
    always @* if (SOURCEA || SOURCEB) $fatal(1, "MULT18X18D with a shifted operand is not modelled");
    wire [17:0] a = {
        A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0
    };
    wire [17:0] b = {
        B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0
    };
    wire signed [35:0] x = $signed({SIGNEDA & a[17], a}), y = $signed({SIGNEDB & b[17], b});
    reg signed [35:0] factor_a, factor_b, product, answer;
    always @(posedge CLK0) begin
        factor_a <= x;
        factor_b <= y;
        product <= factor_a * factor_b;
        answer <= product;
    end
    assign {
        P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15, P14,
        P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
    } = BARE ? x * y : answer;
    assign SIGNEDP = SIGNEDA | SIGNEDB;
endmodule

// 1024 words of 18 bits. A word of 36 bits has its upper half on port B: such a port A only writes, such a port B only
// reads. Of a word of 18 or 36 bits, the lowest bits of the address say which bytes are written.
module DP16KD (
    input
        DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1,
        DIA0, ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0, CEA, OCEA, CLKA,
        WEA, RSTA, CSA2, CSA1, CSA0,
    output
        DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1,
        DOA0,
    input
        DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1,
        DIB0, ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0, CEB, OCEB, CLKB,
        WEB, RSTB, CSB2, CSB1, CSB0,
    output
        DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1,
        DOB0
);
    parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18, REGMODE_A = "NOREG", REGMODE_B = "NOREG";
    parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC", CSDECODE_A = "0b000", CSDECODE_B = "0b000";
    parameter WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL", CLKAMUX = "CLKA", CLKBMUX = "CLKB";
    parameter GSR = "ENABLED", INIT_DATA = "STATIC";
    parameter [319:0]
        INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0, INITVAL_04 = 0, INITVAL_05 = 0,
        INITVAL_06 = 0, INITVAL_07 = 0, INITVAL_08 = 0, INITVAL_09 = 0, INITVAL_0A = 0, INITVAL_0B = 0,
        INITVAL_0C = 0, INITVAL_0D = 0, INITVAL_0E = 0, INITVAL_0F = 0, INITVAL_10 = 0, INITVAL_11 = 0,
        INITVAL_12 = 0, INITVAL_13 = 0, INITVAL_14 = 0, INITVAL_15 = 0, INITVAL_16 = 0, INITVAL_17 = 0,
        INITVAL_18 = 0, INITVAL_19 = 0, INITVAL_1A = 0, INITVAL_1B = 0, INITVAL_1C = 0, INITVAL_1D = 0,
        INITVAL_1E = 0, INITVAL_1F = 0, INITVAL_20 = 0, INITVAL_21 = 0, INITVAL_22 = 0, INITVAL_23 = 0,
        INITVAL_24 = 0, INITVAL_25 = 0, INITVAL_26 = 0, INITVAL_27 = 0, INITVAL_28 = 0, INITVAL_29 = 0,
        INITVAL_2A = 0, INITVAL_2B = 0, INITVAL_2C = 0, INITVAL_2D = 0, INITVAL_2E = 0, INITVAL_2F = 0,
        INITVAL_30 = 0, INITVAL_31 = 0, INITVAL_32 = 0, INITVAL_33 = 0, INITVAL_34 = 0, INITVAL_35 = 0,
        INITVAL_36 = 0, INITVAL_37 = 0, INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0, INITVAL_3B = 0,
        INITVAL_3C = 0, INITVAL_3D = 0, INITVAL_3E = 0, INITVAL_3F = 0;

    localparam MODE_A = WRITEMODE_A == "NORMAL" ? "NO_CHANGE" : WRITEMODE_A == "WRITETHROUGH" ? "WRITE_FIRST" : "READ_FIRST";
    localparam MODE_B = WRITEMODE_B == "NORMAL" ? "NO_CHANGE" : WRITEMODE_B == "WRITETHROUGH" ? "WRITE_FIRST" : "READ_FIRST";
    localparam WIDE = DATA_WIDTH_A == 36 || DATA_WIDTH_B == 36;
    localparam [64*320-1:0] STORED = {
        INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39, INITVAL_38, INITVAL_37,
        INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32, INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E,
        INITVAL_2D, INITVAL_2C, INITVAL_2B, INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26, INITVAL_25,
        INITVAL_24, INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F, INITVAL_1E, INITVAL_1D, INITVAL_1C,
        INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18, INITVAL_17, INITVAL_16, INITVAL_15, INITVAL_14, INITVAL_13,
        INITVAL_12, INITVAL_11, INITVAL_10, INITVAL_0F, INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A,
        INITVAL_09, INITVAL_08, INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01,
        INITVAL_00
    };

    function automatic bad_width(input integer width);
        bad_width = width != 1 && width != 2 && width != 4 && width != 9 && width != 18 && width != 36;
    endfunction

    integer k;
    initial begin
        // Of 20 bits that a parameter has for a word, the lower 18 are stored.
        for (k = 0; k < 2048; k = k + 1) ram.mem[k] = STORED[20 * (k >> 1) + 9 * (k & 1) +: 9];
        if (bad_width(DATA_WIDTH_A) || bad_width(DATA_WIDTH_B))
            $fatal(1, "DP16KD with DATA_WIDTH = %0d, %0d is not modelled", DATA_WIDTH_A, DATA_WIDTH_B);
        if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG") $fatal(1, "DP16KD with output registers is not modelled");
        if (CSDECODE_A != "0b000" || CSDECODE_B != "0b000") $fatal(1, "DP16KD with CSDECODE is not modelled");
        if (CLKAMUX != "CLKA" || CLKBMUX != "CLKB") $fatal(1, "DP16KD with an inverted clock is not modelled");
        if (RESETMODE != "SYNC" && RESETMODE != "ASYNC") $fatal(1, "DP16KD with RESETMODE = %s is not modelled", RESETMODE);
        if (INIT_DATA != "STATIC") $fatal(1, "DP16KD with INIT_DATA = %s is not modelled", INIT_DATA);
        if ((WRITEMODE_A == "READBEFOREWRITE" && DATA_WIDTH_A != 9 && DATA_WIDTH_A != 18) ||
            (WRITEMODE_B == "READBEFOREWRITE" && DATA_WIDTH_B != 9 && DATA_WIDTH_B != 18))
            $fatal(1, "DP16KD reads before it writes in words of 9 and 18 bits only");
    end

    wire [13:0] ad_a = {
        ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0
    };
    wire [13:0] ad_b = {
        ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0
    };
    wire [17:0] di_a = {
        DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1,
        DIA0
    };
    wire [17:0] di_b = {
        DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1,
        DIB0
    };
    wire [71:0] do_a, do_b;
    wire [7:0] be_a = DATA_WIDTH_A == 36 ? {4'd0, ad_a[3:0]} : DATA_WIDTH_A == 18 ? {6'd0, ad_a[1:0]} : 8'd1;
    wire [7:0] be_b = DATA_WIDTH_B == 18 ? {6'd0, ad_b[1:0]} : 8'd1;
    wire selected_a = ~|{CSA2, CSA1, CSA0}, selected_b = ~|{CSB2, CSB1, CSB0};

    weft_block_ram #(
        .BITS(14), .READ_A(WIDE ? 0 : DATA_WIDTH_A), .WRITE_A(DATA_WIDTH_A),
        .READ_B(DATA_WIDTH_B), .WRITE_B(WIDE ? 0 : DATA_WIDTH_B),
        .MODE_A(MODE_A), .MODE_B(MODE_B), .ASYNC(RESETMODE == "ASYNC")
    ) ram (
        .clk_a(CLKA), .en_a(CEA & selected_a), .rst_a(RSTA), .we_a(WEA & ~(RSTA & RESETMODE == "SYNC") ? be_a : 8'd0),
        .ad_a(ad_a), .di_a(DATA_WIDTH_A == 36 ? {di_b, di_a} : di_a), .do_a(do_a),
        .clk_b(CLKB), .en_b(CEB & selected_b), .rst_b(RSTB), .we_b(WEB & ~(RSTB & RESETMODE == "SYNC") ? be_b : 8'd0),
        .ad_b(ad_b), .di_b(di_b), .do_b(do_b)
    );
    assign {
        DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1,
        DOA0
    } = DATA_WIDTH_B == 36 ? do_b[17:0] : do_a[17:0];
    assign {
        DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1,
        DOB0
    } = DATA_WIDTH_B == 36 ? do_b[35:18] : do_b[17:0];
    always @* if (WIDE && WEB) $fatal(1, "DP16KD with words of 36 bits writes on port A only");
endmodule

// A clock made of another: CLKI * CLKFB_DIV / CLKI_DIV, with feedback from CLKOP.
module EHXPLLL (
    input CLKI, CLKFB, RST, STDBY, ENCLKOP, ENCLKOS, ENCLKOS2, ENCLKOS3, PHASESEL1, PHASESEL0, PHASEDIR, PHASESTEP,
    input PHASELOADREG, PLLWAKESYNC, output reg CLKOP, output CLKOS, CLKOS2, CLKOS3, output reg LOCK, output INTLOCK,
    output REFCLK, CLKINTFB
);
    parameter CLKI_DIV = 1, CLKFB_DIV = 1, CLKOP_DIV = 8, CLKOP_CPHASE = 0, CLKOP_FPHASE = 0;
    parameter FEEDBK_PATH = "CLKOP", CLKOP_ENABLE = "ENABLED";
    realtime last, half;
    initial begin
        CLKOP = 0;
        LOCK = 0;
        if (FEEDBK_PATH != "CLKOP" || CLKOP_ENABLE != "ENABLED" || CLKOP_CPHASE != CLKOP_DIV - 1 || CLKOP_FPHASE != 0)
            $fatal(1, "EHXPLLL with another feedback or phase is not modelled");
        @(posedge CLKI) last = $realtime;
        @(posedge CLKI) half = ($realtime - last) * CLKI_DIV / CLKFB_DIV / 2;
        if (half * 2 / CLKOP_DIV < 1250 || half * 2 / CLKOP_DIV > 2500)
            $fatal(1, "EHXPLLL: an oscillator with a period of %0f ps; it runs at 400 to 800 MHz", half * 2 / CLKOP_DIV);
        forever #(half) CLKOP = ~CLKOP;
    end
    initial begin
        repeat (32) @(posedge CLKOP);
        LOCK = 1;
    end
    always @* if (RST || STDBY) $fatal(1, "EHXPLLL in reset or standby is not modelled");
endmodule
