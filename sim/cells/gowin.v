// Cells of Gowin GW1N of which Yosys has only shells, for the attributes that Weft's netlists have: anything else stops the
// simulation. Layout of words and addresses: as Yosys maps memories to them (gowin/brams_map.v of its share); a word of 18
// or 36 bits has its byte enables in the lowest bits of the address. Vendor's documents: UG285 (memory), UG287 (DSP).

`timescale 1ps / 1ps

// A pad that is always on.
module TBUF (output O, input I, OEN);
    assign O = I;
    always @* if (OEN) $fatal(1, "TBUF that is switched off is not modelled");
endmodule

// A product without registers.
module MULT9X9 (
    input [8:0] A, B, SIA, SIB, input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET, output [17:0] DOUT, output [8:0] SOA, SOB
);
    parameter AREG = 0, BREG = 0, PIPE_REG = 0, ASIGN_REG = 0, BSIGN_REG = 0, OUT_REG = 0, SOA_REG = 0;
    initial if (AREG || BREG || PIPE_REG || ASIGN_REG || BSIGN_REG || OUT_REG || SOA_REG)
        $fatal(1, "MULT9X9 with registers is not modelled");
    always @* if (ASEL || BSEL) $fatal(1, "MULT9X9 with a shifted operand is not modelled");
    wire signed [17:0] x = $signed({ASIGN & A[8], A}), y = $signed({BSIGN & B[8], B});
    assign DOUT = x * y;
endmodule

// A product without registers.
module MULT18X18 (
    input [17:0] A, B, SIA, SIB, input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET, output [35:0] DOUT, output [17:0] SOA, SOB
);
    parameter AREG = 0, BREG = 0, PIPE_REG = 0, ASIGN_REG = 0, BSIGN_REG = 0, OUT_REG = 0, SOA_REG = 0;
    initial if (AREG || BREG || PIPE_REG || ASIGN_REG || BSIGN_REG || OUT_REG || SOA_REG)
        $fatal(1, "MULT18X18 with registers is not modelled");
    always @* if (ASEL || BSEL) $fatal(1, "MULT18X18 with a shifted operand is not modelled");
    wire signed [35:0] x = $signed({ASIGN & A[17], A}), y = $signed({BSIGN & B[17], B});
    assign DOUT = x * y;
endmodule

// A product without registers.
module MULT36X36 (
    input [35:0] A, B, input ASIGN, BSIGN, CE, CLK, RESET, output [71:0] DOUT
);
    parameter AREG = 0, BREG = 0, PIPE_REG = 0, ASIGN_REG = 0, BSIGN_REG = 0, OUT0_REG = 0, OUT1_REG = 0;
    initial if (AREG || BREG || PIPE_REG || ASIGN_REG || BSIGN_REG || OUT0_REG || OUT1_REG)
        $fatal(1, "MULT36X36 with registers is not modelled");
    wire signed [71:0] x = $signed({ASIGN & A[35], A}), y = $signed({BSIGN & B[35], B});
    assign DOUT = x * y;
endmodule

// One port of words of 9, 18 or 36 bits.
module SPX9 (
    output [35:0] DO, input [35:0] DI, input [2:0] BLKSEL, input [13:0] AD, input WRE, CLK, CE, OCE, RESET
);
    parameter BIT_WIDTH = 36, READ_MODE = 0, WRITE_MODE = 0, BLK_SEL = 0, RESET_MODE = "SYNC";
    parameter [287:0]
        INIT_RAM_00 = 0, INIT_RAM_01 = 0, INIT_RAM_02 = 0, INIT_RAM_03 = 0, INIT_RAM_04 = 0, INIT_RAM_05 = 0,
        INIT_RAM_06 = 0, INIT_RAM_07 = 0, INIT_RAM_08 = 0, INIT_RAM_09 = 0, INIT_RAM_0A = 0, INIT_RAM_0B = 0,
        INIT_RAM_0C = 0, INIT_RAM_0D = 0, INIT_RAM_0E = 0, INIT_RAM_0F = 0, INIT_RAM_10 = 0, INIT_RAM_11 = 0,
        INIT_RAM_12 = 0, INIT_RAM_13 = 0, INIT_RAM_14 = 0, INIT_RAM_15 = 0, INIT_RAM_16 = 0, INIT_RAM_17 = 0,
        INIT_RAM_18 = 0, INIT_RAM_19 = 0, INIT_RAM_1A = 0, INIT_RAM_1B = 0, INIT_RAM_1C = 0, INIT_RAM_1D = 0,
        INIT_RAM_1E = 0, INIT_RAM_1F = 0, INIT_RAM_20 = 0, INIT_RAM_21 = 0, INIT_RAM_22 = 0, INIT_RAM_23 = 0,
        INIT_RAM_24 = 0, INIT_RAM_25 = 0, INIT_RAM_26 = 0, INIT_RAM_27 = 0, INIT_RAM_28 = 0, INIT_RAM_29 = 0,
        INIT_RAM_2A = 0, INIT_RAM_2B = 0, INIT_RAM_2C = 0, INIT_RAM_2D = 0, INIT_RAM_2E = 0, INIT_RAM_2F = 0,
        INIT_RAM_30 = 0, INIT_RAM_31 = 0, INIT_RAM_32 = 0, INIT_RAM_33 = 0, INIT_RAM_34 = 0, INIT_RAM_35 = 0,
        INIT_RAM_36 = 0, INIT_RAM_37 = 0, INIT_RAM_38 = 0, INIT_RAM_39 = 0, INIT_RAM_3A = 0, INIT_RAM_3B = 0,
        INIT_RAM_3C = 0, INIT_RAM_3D = 0, INIT_RAM_3E = 0, INIT_RAM_3F = 0;

    localparam [18431:0] CONTENTS = {
        INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39, INIT_RAM_38,
        INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32, INIT_RAM_31, INIT_RAM_30,
        INIT_RAM_2F, INIT_RAM_2E, INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B, INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28,
        INIT_RAM_27, INIT_RAM_26, INIT_RAM_25, INIT_RAM_24, INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20,
        INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D, INIT_RAM_1C, INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18,
        INIT_RAM_17, INIT_RAM_16, INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11, INIT_RAM_10,
        INIT_RAM_0F, INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A, INIT_RAM_09, INIT_RAM_08,
        INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01, INIT_RAM_00
    };

    function automatic bad_width(input integer width);
        bad_width = width != 9 && width != 18 && width != 36;
    endfunction

    integer k;
    initial begin
        for (k = 0; k < 2048; k = k + 1) ram.mem[k] = CONTENTS[9 * k +: 9];
        if (READ_MODE != 0) $fatal(1, "SPX9 with output registers is not modelled");
        if (BLK_SEL != 0) $fatal(1, "SPX9 with a block selection is not modelled");
        if (bad_width(BIT_WIDTH)) $fatal(1, "SPX9 with this BIT_WIDTH is not modelled");
        if (RESET_MODE != "SYNC" && RESET_MODE != "ASYNC") $fatal(1, "SPX9 with RESET_MODE = %s is not modelled", RESET_MODE);
        if (WRITE_MODE > 2) $fatal(1, "SPX9 with this WRITE_MODE is not modelled");
    end
    always @* if (BLKSEL != 0) $fatal(1, "SPX9 that is not selected is not modelled");

    wire [71:0] do_a;
    weft_block_ram #(
        .READ_A(BIT_WIDTH), .WRITE_A(BIT_WIDTH), .MODE_A(WRITE_MODE == 0 ? "NO_CHANGE" : WRITE_MODE == 1 ? "WRITE_FIRST" : "READ_FIRST"),
        .ASYNC(RESET_MODE == "ASYNC")
    ) ram (
        .clk_a(CLK), .en_a(CE), .rst_a(RESET), .we_a(WRE ? BIT_WIDTH == 36 ? {4'd0, AD[3:0]} : BIT_WIDTH == 18 ? {6'd0, AD[1:0]} : 8'd1 : 8'd0),
        .ad_a(AD), .di_a(DI), .do_a(do_a),
        .clk_b(1'b0), .en_b(1'b0), .rst_b(1'b0), .we_b(8'd0), .ad_b(14'd0), .di_b(72'd0), .do_b()
    );
    assign DO = do_a[35:0];
endmodule

// Port A writes, port B reads.
module SDPX9B (
    output [35:0] DO, input [35:0] DI, input [2:0] BLKSELA, BLKSELB, input [13:0] ADA, ADB,
    input CLKA, CLKB, CEA, CEB, OCE, RESETA, RESETB
);
    parameter BIT_WIDTH_0 = 36, BIT_WIDTH_1 = 36, READ_MODE = 0, BLK_SEL_0 = 0, BLK_SEL_1 = 0, RESET_MODE = "SYNC";
    parameter [287:0]
        INIT_RAM_00 = 0, INIT_RAM_01 = 0, INIT_RAM_02 = 0, INIT_RAM_03 = 0, INIT_RAM_04 = 0, INIT_RAM_05 = 0,
        INIT_RAM_06 = 0, INIT_RAM_07 = 0, INIT_RAM_08 = 0, INIT_RAM_09 = 0, INIT_RAM_0A = 0, INIT_RAM_0B = 0,
        INIT_RAM_0C = 0, INIT_RAM_0D = 0, INIT_RAM_0E = 0, INIT_RAM_0F = 0, INIT_RAM_10 = 0, INIT_RAM_11 = 0,
        INIT_RAM_12 = 0, INIT_RAM_13 = 0, INIT_RAM_14 = 0, INIT_RAM_15 = 0, INIT_RAM_16 = 0, INIT_RAM_17 = 0,
        INIT_RAM_18 = 0, INIT_RAM_19 = 0, INIT_RAM_1A = 0, INIT_RAM_1B = 0, INIT_RAM_1C = 0, INIT_RAM_1D = 0,
        INIT_RAM_1E = 0, INIT_RAM_1F = 0, INIT_RAM_20 = 0, INIT_RAM_21 = 0, INIT_RAM_22 = 0, INIT_RAM_23 = 0,
        INIT_RAM_24 = 0, INIT_RAM_25 = 0, INIT_RAM_26 = 0, INIT_RAM_27 = 0, INIT_RAM_28 = 0, INIT_RAM_29 = 0,
        INIT_RAM_2A = 0, INIT_RAM_2B = 0, INIT_RAM_2C = 0, INIT_RAM_2D = 0, INIT_RAM_2E = 0, INIT_RAM_2F = 0,
        INIT_RAM_30 = 0, INIT_RAM_31 = 0, INIT_RAM_32 = 0, INIT_RAM_33 = 0, INIT_RAM_34 = 0, INIT_RAM_35 = 0,
        INIT_RAM_36 = 0, INIT_RAM_37 = 0, INIT_RAM_38 = 0, INIT_RAM_39 = 0, INIT_RAM_3A = 0, INIT_RAM_3B = 0,
        INIT_RAM_3C = 0, INIT_RAM_3D = 0, INIT_RAM_3E = 0, INIT_RAM_3F = 0;

    localparam [18431:0] CONTENTS = {
        INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39, INIT_RAM_38,
        INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32, INIT_RAM_31, INIT_RAM_30,
        INIT_RAM_2F, INIT_RAM_2E, INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B, INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28,
        INIT_RAM_27, INIT_RAM_26, INIT_RAM_25, INIT_RAM_24, INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20,
        INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D, INIT_RAM_1C, INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18,
        INIT_RAM_17, INIT_RAM_16, INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11, INIT_RAM_10,
        INIT_RAM_0F, INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A, INIT_RAM_09, INIT_RAM_08,
        INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01, INIT_RAM_00
    };

    function automatic bad_width(input integer width);
        bad_width = width != 9 && width != 18 && width != 36;
    endfunction

    integer k;
    initial begin
        for (k = 0; k < 2048; k = k + 1) ram.mem[k] = CONTENTS[9 * k +: 9];
        if (READ_MODE != 0) $fatal(1, "SDPX9B with output registers is not modelled");
        if (BLK_SEL_0 != 0 || BLK_SEL_1 != 0) $fatal(1, "SDPX9B with a block selection is not modelled");
        if (bad_width(BIT_WIDTH_0) || bad_width(BIT_WIDTH_1)) $fatal(1, "SDPX9B with this BIT_WIDTH is not modelled");
        if (RESET_MODE != "SYNC" && RESET_MODE != "ASYNC") $fatal(1, "SDPX9B with RESET_MODE = %s is not modelled", RESET_MODE);
    end
    always @* if (BLKSELA != 0 || BLKSELB != 0) $fatal(1, "SDPX9B that is not selected is not modelled");

    wire [71:0] do_b;
    weft_block_ram #(
        .WRITE_A(BIT_WIDTH_0), .READ_B(BIT_WIDTH_1), .ASYNC(RESET_MODE == "ASYNC")
    ) ram (
        .clk_a(CLKA), .en_a(CEA), .rst_a(1'b0), .we_a(BIT_WIDTH_0 == 36 ? {4'd0, ADA[3:0]} : BIT_WIDTH_0 == 18 ? {6'd0, ADA[1:0]} : 8'd1),
        .ad_a(ADA), .di_a(DI), .do_a(),
        .clk_b(CLKB), .en_b(CEB), .rst_b(RESETB), .we_b(8'd0), .ad_b(ADB), .di_b(72'd0), .do_b(do_b)
    );
    assign DO = do_b[35:0];
endmodule

// Two ports of words of 9 or 18 bits.
module DPX9B (
    output [17:0] DOA, DOB, input [17:0] DIA, DIB, input [2:0] BLKSELA, BLKSELB, input [13:0] ADA, ADB,
    input WREA, WREB, CLKA, CLKB, CEA, CEB, OCEA, OCEB, RESETA, RESETB
);
    parameter BIT_WIDTH_0 = 18, BIT_WIDTH_1 = 18, READ_MODE0 = 0, READ_MODE1 = 0, WRITE_MODE0 = 0, WRITE_MODE1 = 0;
    parameter BLK_SEL_0 = 0, BLK_SEL_1 = 0, RESET_MODE = "SYNC";
    parameter [287:0]
        INIT_RAM_00 = 0, INIT_RAM_01 = 0, INIT_RAM_02 = 0, INIT_RAM_03 = 0, INIT_RAM_04 = 0, INIT_RAM_05 = 0,
        INIT_RAM_06 = 0, INIT_RAM_07 = 0, INIT_RAM_08 = 0, INIT_RAM_09 = 0, INIT_RAM_0A = 0, INIT_RAM_0B = 0,
        INIT_RAM_0C = 0, INIT_RAM_0D = 0, INIT_RAM_0E = 0, INIT_RAM_0F = 0, INIT_RAM_10 = 0, INIT_RAM_11 = 0,
        INIT_RAM_12 = 0, INIT_RAM_13 = 0, INIT_RAM_14 = 0, INIT_RAM_15 = 0, INIT_RAM_16 = 0, INIT_RAM_17 = 0,
        INIT_RAM_18 = 0, INIT_RAM_19 = 0, INIT_RAM_1A = 0, INIT_RAM_1B = 0, INIT_RAM_1C = 0, INIT_RAM_1D = 0,
        INIT_RAM_1E = 0, INIT_RAM_1F = 0, INIT_RAM_20 = 0, INIT_RAM_21 = 0, INIT_RAM_22 = 0, INIT_RAM_23 = 0,
        INIT_RAM_24 = 0, INIT_RAM_25 = 0, INIT_RAM_26 = 0, INIT_RAM_27 = 0, INIT_RAM_28 = 0, INIT_RAM_29 = 0,
        INIT_RAM_2A = 0, INIT_RAM_2B = 0, INIT_RAM_2C = 0, INIT_RAM_2D = 0, INIT_RAM_2E = 0, INIT_RAM_2F = 0,
        INIT_RAM_30 = 0, INIT_RAM_31 = 0, INIT_RAM_32 = 0, INIT_RAM_33 = 0, INIT_RAM_34 = 0, INIT_RAM_35 = 0,
        INIT_RAM_36 = 0, INIT_RAM_37 = 0, INIT_RAM_38 = 0, INIT_RAM_39 = 0, INIT_RAM_3A = 0, INIT_RAM_3B = 0,
        INIT_RAM_3C = 0, INIT_RAM_3D = 0, INIT_RAM_3E = 0, INIT_RAM_3F = 0;

    localparam [18431:0] CONTENTS = {
        INIT_RAM_3F, INIT_RAM_3E, INIT_RAM_3D, INIT_RAM_3C, INIT_RAM_3B, INIT_RAM_3A, INIT_RAM_39, INIT_RAM_38,
        INIT_RAM_37, INIT_RAM_36, INIT_RAM_35, INIT_RAM_34, INIT_RAM_33, INIT_RAM_32, INIT_RAM_31, INIT_RAM_30,
        INIT_RAM_2F, INIT_RAM_2E, INIT_RAM_2D, INIT_RAM_2C, INIT_RAM_2B, INIT_RAM_2A, INIT_RAM_29, INIT_RAM_28,
        INIT_RAM_27, INIT_RAM_26, INIT_RAM_25, INIT_RAM_24, INIT_RAM_23, INIT_RAM_22, INIT_RAM_21, INIT_RAM_20,
        INIT_RAM_1F, INIT_RAM_1E, INIT_RAM_1D, INIT_RAM_1C, INIT_RAM_1B, INIT_RAM_1A, INIT_RAM_19, INIT_RAM_18,
        INIT_RAM_17, INIT_RAM_16, INIT_RAM_15, INIT_RAM_14, INIT_RAM_13, INIT_RAM_12, INIT_RAM_11, INIT_RAM_10,
        INIT_RAM_0F, INIT_RAM_0E, INIT_RAM_0D, INIT_RAM_0C, INIT_RAM_0B, INIT_RAM_0A, INIT_RAM_09, INIT_RAM_08,
        INIT_RAM_07, INIT_RAM_06, INIT_RAM_05, INIT_RAM_04, INIT_RAM_03, INIT_RAM_02, INIT_RAM_01, INIT_RAM_00
    };

    function automatic bad_width(input integer width);
        bad_width = width != 9 && width != 18;
    endfunction

    integer k;
    initial begin
        for (k = 0; k < 2048; k = k + 1) ram.mem[k] = CONTENTS[9 * k +: 9];
        if (READ_MODE0 != 0 || READ_MODE1 != 0) $fatal(1, "DPX9B with output registers is not modelled");
        if (BLK_SEL_0 != 0 || BLK_SEL_1 != 0) $fatal(1, "DPX9B with a block selection is not modelled");
        if (bad_width(BIT_WIDTH_0) || bad_width(BIT_WIDTH_1)) $fatal(1, "DPX9B with this BIT_WIDTH is not modelled");
        if (RESET_MODE != "SYNC" && RESET_MODE != "ASYNC") $fatal(1, "DPX9B with RESET_MODE = %s is not modelled", RESET_MODE);
        if (WRITE_MODE0 > 1 || WRITE_MODE1 > 1) $fatal(1, "DPX9B with this WRITE_MODE is not modelled");
    end
    always @* if (BLKSELA != 0 || BLKSELB != 0) $fatal(1, "DPX9B that is not selected is not modelled");

    wire [71:0] do_a, do_b;
    weft_block_ram #(
        .READ_A(BIT_WIDTH_0), .WRITE_A(BIT_WIDTH_0), .READ_B(BIT_WIDTH_1), .WRITE_B(BIT_WIDTH_1),
        .MODE_A(WRITE_MODE0 == 0 ? "NO_CHANGE" : WRITE_MODE0 == 1 ? "WRITE_FIRST" : "READ_FIRST"),
        .MODE_B(WRITE_MODE1 == 0 ? "NO_CHANGE" : WRITE_MODE1 == 1 ? "WRITE_FIRST" : "READ_FIRST"),
        .ASYNC(RESET_MODE == "ASYNC")
    ) ram (
        .clk_a(CLKA), .en_a(CEA), .rst_a(RESETA), .we_a(WREA ? BIT_WIDTH_0 == 36 ? {4'd0, ADA[3:0]} : BIT_WIDTH_0 == 18 ? {6'd0, ADA[1:0]} : 8'd1 : 8'd0),
        .ad_a(ADA), .di_a(DIA), .do_a(do_a),
        .clk_b(CLKB), .en_b(CEB), .rst_b(RESETB), .we_b(WREB ? BIT_WIDTH_1 == 36 ? {4'd0, ADB[3:0]} : BIT_WIDTH_1 == 18 ? {6'd0, ADB[1:0]} : 8'd1 : 8'd0),
        .ad_b(ADB), .di_b(DIB), .do_b(do_b)
    );
    assign DOA = do_a[17:0], DOB = do_b[17:0];
endmodule
