// Cells of Xilinx 7 series of which Yosys has only shells, for the attributes that Weft's netlists have: anything else
// stops the simulation. Layout of words and addresses: as Yosys maps memories to them (xilinx/brams_xc6v_map.v of its
// share). Vendor's documents: UG473 (memory), UG953 (cells).

`timescale 1ps / 1ps

// A pad that is always on.
module OBUFT (output O, input I, T);
    assign O = I;
    always @* if (T) $fatal(1, "OBUFT that is switched off is not modelled");
endmodule

// 16 Kbit and 2 Kbit of parity. With RAM_MODE = "SDP" port A reads and port B writes, and words of 36 bits have their upper half on
// the pins of port B (what is read) or take their lower half from those of port A (what is written).
module RAMB18E1 (
    input CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB, RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
    input [13:0] ADDRARDADDR, ADDRBWRADDR, input [15:0] DIADI, DIBDI, input [1:0] DIPADIP, DIPBDIP,
    input [1:0] WEA, input [3:0] WEBWE,
    output [15:0] DOADO, DOBDO, output [1:0] DOPADOP, DOPBDOP
);
    parameter integer DOA_REG = 0, DOB_REG = 0, READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0;
    parameter RAM_MODE = "TDP", WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST";
    parameter [17:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0;
    parameter [0:0] IS_CLKARDCLK_INVERTED = 0, IS_CLKBWRCLK_INVERTED = 0, IS_ENARDEN_INVERTED = 0, IS_ENBWREN_INVERTED = 0,
                    IS_RSTRAMARSTRAM_INVERTED = 0, IS_RSTRAMB_INVERTED = 0;
    parameter [255:0]
        INIT_00 = 0, INIT_01 = 0, INIT_02 = 0, INIT_03 = 0, INIT_04 = 0, INIT_05 = 0, INIT_06 = 0, INIT_07 = 0,
        INIT_08 = 0, INIT_09 = 0, INIT_0A = 0, INIT_0B = 0, INIT_0C = 0, INIT_0D = 0, INIT_0E = 0, INIT_0F = 0,
        INIT_10 = 0, INIT_11 = 0, INIT_12 = 0, INIT_13 = 0, INIT_14 = 0, INIT_15 = 0, INIT_16 = 0, INIT_17 = 0,
        INIT_18 = 0, INIT_19 = 0, INIT_1A = 0, INIT_1B = 0, INIT_1C = 0, INIT_1D = 0, INIT_1E = 0, INIT_1F = 0,
        INIT_20 = 0, INIT_21 = 0, INIT_22 = 0, INIT_23 = 0, INIT_24 = 0, INIT_25 = 0, INIT_26 = 0, INIT_27 = 0,
        INIT_28 = 0, INIT_29 = 0, INIT_2A = 0, INIT_2B = 0, INIT_2C = 0, INIT_2D = 0, INIT_2E = 0, INIT_2F = 0,
        INIT_30 = 0, INIT_31 = 0, INIT_32 = 0, INIT_33 = 0, INIT_34 = 0, INIT_35 = 0, INIT_36 = 0, INIT_37 = 0,
        INIT_38 = 0, INIT_39 = 0, INIT_3A = 0, INIT_3B = 0, INIT_3C = 0, INIT_3D = 0, INIT_3E = 0, INIT_3F = 0,
        INITP_00 = 0, INITP_01 = 0, INITP_02 = 0, INITP_03 = 0, INITP_04 = 0, INITP_05 = 0, INITP_06 = 0,
        INITP_07 = 0;

    localparam [16383:0] DATA = {
        INIT_3F, INIT_3E, INIT_3D, INIT_3C, INIT_3B, INIT_3A, INIT_39, INIT_38, INIT_37, INIT_36, INIT_35,
        INIT_34, INIT_33, INIT_32, INIT_31, INIT_30, INIT_2F, INIT_2E, INIT_2D, INIT_2C, INIT_2B, INIT_2A,
        INIT_29, INIT_28, INIT_27, INIT_26, INIT_25, INIT_24, INIT_23, INIT_22, INIT_21, INIT_20, INIT_1F,
        INIT_1E, INIT_1D, INIT_1C, INIT_1B, INIT_1A, INIT_19, INIT_18, INIT_17, INIT_16, INIT_15, INIT_14,
        INIT_13, INIT_12, INIT_11, INIT_10, INIT_0F, INIT_0E, INIT_0D, INIT_0C, INIT_0B, INIT_0A, INIT_09,
        INIT_08, INIT_07, INIT_06, INIT_05, INIT_04, INIT_03, INIT_02, INIT_01, INIT_00
    };
    localparam [2047:0] PARITY = {
        INITP_07, INITP_06, INITP_05, INITP_04, INITP_03, INITP_02, INITP_01, INITP_00
    };

    integer k;
    initial begin
        for (k = 0; k < 2048; k = k + 1) ram.mem[k] = {PARITY[k], DATA[8 * k +: 8]};
        if (DOA_REG != 0 || DOB_REG != 0) $fatal(1, "RAMB18E1 with output registers is not modelled");
        if (IS_CLKARDCLK_INVERTED || IS_CLKBWRCLK_INVERTED || IS_ENARDEN_INVERTED || IS_ENBWREN_INVERTED ||
            IS_RSTRAMARSTRAM_INVERTED || IS_RSTRAMB_INVERTED)
            $fatal(1, "RAMB18E1 with an inverted input is not modelled");
        if (RAM_MODE != "TDP" && RAM_MODE != "SDP") $fatal(1, "RAMB18E1 with RAM_MODE = %s is not modelled", RAM_MODE);
        if (RAM_MODE == "SDP" && (READ_WIDTH_B != 0 || WRITE_WIDTH_A != 0))
            $fatal(1, "RAMB18E1 that reads on port B or writes on port A is no SDP");
    end

    localparam SDP = RAM_MODE == "SDP";
    wire [71:0] do_a, do_b;
    wire [71:0] di_a = {DIPADIP[1], DIADI[15:8], DIPADIP[0], DIADI[7:0]};
    wire [71:0] di_b = {DIPBDIP[1], DIBDI[15:8], DIPBDIP[0], DIBDI[7:0]};
    wire [17:0] upper = SDP && READ_WIDTH_A == 36 ? do_a[35:18] : do_b[17:0];

    weft_block_ram #(
        .BITS(14), .READ_A(READ_WIDTH_A), .WRITE_A(WRITE_WIDTH_A), .READ_B(READ_WIDTH_B), .WRITE_B(WRITE_WIDTH_B),
        .MODE_A(WRITE_MODE_A), .MODE_B(WRITE_MODE_B), .CROSS_A(WRITE_MODE_A == "READ_FIRST"),
        .CROSS_B(WRITE_MODE_B == "READ_FIRST"), .GATED(1),
        .INIT_A({{INIT_B[17], INIT_B[15:8], INIT_B[16], INIT_B[7:0]}, {INIT_A[17], INIT_A[15:8], INIT_A[16], INIT_A[7:0]}}), .INIT_B({INIT_B[17], INIT_B[15:8], INIT_B[16], INIT_B[7:0]}),
        .SRVAL_A({{SRVAL_B[17], SRVAL_B[15:8], SRVAL_B[16], SRVAL_B[7:0]}, {SRVAL_A[17], SRVAL_A[15:8], SRVAL_A[16], SRVAL_A[7:0]}}), .SRVAL_B({SRVAL_B[17], SRVAL_B[15:8], SRVAL_B[16], SRVAL_B[7:0]})
    ) ram (
        .clk_a(CLKARDCLK), .en_a(ENARDEN), .rst_a(RSTRAMARSTRAM), .we_a(SDP ? 8'd0 : WEA), .ad_a(ADDRARDADDR[13:0]),
        .di_a(di_a), .do_a(do_a),
        .clk_b(CLKBWRCLK), .en_b(ENBWREN), .rst_b(RSTRAMB), .we_b(WEBWE), .ad_b(ADDRBWRADDR[13:0]),
        .di_b(SDP && WRITE_WIDTH_B == 36 ? {di_b[17:0], di_a[17:0]} : di_b), .do_b(do_b)
    );
    assign {DOPADOP[0], DOADO[7:0]} = do_a[8:0];
    assign {DOPADOP[1], DOADO[15:8]} = do_a[17:9];
    assign {DOPBDOP[0], DOBDO[7:0]} = upper[8:0];
    assign {DOPBDOP[1], DOBDO[15:8]} = upper[17:9];
endmodule

// 32 Kbit and 4 Kbit of parity. With RAM_MODE = "SDP" port A reads and port B writes, and words of 72 bits have their upper half on
// the pins of port B (what is read) or take their lower half from those of port A (what is written).
module RAMB36E1 (
    input CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB, RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
    input [15:0] ADDRARDADDR, ADDRBWRADDR, input [31:0] DIADI, DIBDI, input [3:0] DIPADIP, DIPBDIP,
    input [3:0] WEA, input [7:0] WEBWE,
    output CASCADEOUTA, CASCADEOUTB, output [7:0] ECCPARITY, output [8:0] RDADDRECC, output SBITERR, DBITERR,
    input CASCADEINA, CASCADEINB, INJECTDBITERR, INJECTSBITERR,
    output [31:0] DOADO, DOBDO, output [3:0] DOPADOP, DOPBDOP
);
    parameter integer DOA_REG = 0, DOB_REG = 0, READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0;
    parameter RAM_MODE = "TDP", WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST", RAM_EXTENSION_A = "NONE", RAM_EXTENSION_B = "NONE",
              EN_ECC_READ = "FALSE", EN_ECC_WRITE = "FALSE";
    parameter [35:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0;
    parameter [0:0] IS_CLKARDCLK_INVERTED = 0, IS_CLKBWRCLK_INVERTED = 0, IS_ENARDEN_INVERTED = 0, IS_ENBWREN_INVERTED = 0,
                    IS_RSTRAMARSTRAM_INVERTED = 0, IS_RSTRAMB_INVERTED = 0;
    parameter [255:0]
        INIT_00 = 0, INIT_01 = 0, INIT_02 = 0, INIT_03 = 0, INIT_04 = 0, INIT_05 = 0, INIT_06 = 0, INIT_07 = 0,
        INIT_08 = 0, INIT_09 = 0, INIT_0A = 0, INIT_0B = 0, INIT_0C = 0, INIT_0D = 0, INIT_0E = 0, INIT_0F = 0,
        INIT_10 = 0, INIT_11 = 0, INIT_12 = 0, INIT_13 = 0, INIT_14 = 0, INIT_15 = 0, INIT_16 = 0, INIT_17 = 0,
        INIT_18 = 0, INIT_19 = 0, INIT_1A = 0, INIT_1B = 0, INIT_1C = 0, INIT_1D = 0, INIT_1E = 0, INIT_1F = 0,
        INIT_20 = 0, INIT_21 = 0, INIT_22 = 0, INIT_23 = 0, INIT_24 = 0, INIT_25 = 0, INIT_26 = 0, INIT_27 = 0,
        INIT_28 = 0, INIT_29 = 0, INIT_2A = 0, INIT_2B = 0, INIT_2C = 0, INIT_2D = 0, INIT_2E = 0, INIT_2F = 0,
        INIT_30 = 0, INIT_31 = 0, INIT_32 = 0, INIT_33 = 0, INIT_34 = 0, INIT_35 = 0, INIT_36 = 0, INIT_37 = 0,
        INIT_38 = 0, INIT_39 = 0, INIT_3A = 0, INIT_3B = 0, INIT_3C = 0, INIT_3D = 0, INIT_3E = 0, INIT_3F = 0,
        INIT_40 = 0, INIT_41 = 0, INIT_42 = 0, INIT_43 = 0, INIT_44 = 0, INIT_45 = 0, INIT_46 = 0, INIT_47 = 0,
        INIT_48 = 0, INIT_49 = 0, INIT_4A = 0, INIT_4B = 0, INIT_4C = 0, INIT_4D = 0, INIT_4E = 0, INIT_4F = 0,
        INIT_50 = 0, INIT_51 = 0, INIT_52 = 0, INIT_53 = 0, INIT_54 = 0, INIT_55 = 0, INIT_56 = 0, INIT_57 = 0,
        INIT_58 = 0, INIT_59 = 0, INIT_5A = 0, INIT_5B = 0, INIT_5C = 0, INIT_5D = 0, INIT_5E = 0, INIT_5F = 0,
        INIT_60 = 0, INIT_61 = 0, INIT_62 = 0, INIT_63 = 0, INIT_64 = 0, INIT_65 = 0, INIT_66 = 0, INIT_67 = 0,
        INIT_68 = 0, INIT_69 = 0, INIT_6A = 0, INIT_6B = 0, INIT_6C = 0, INIT_6D = 0, INIT_6E = 0, INIT_6F = 0,
        INIT_70 = 0, INIT_71 = 0, INIT_72 = 0, INIT_73 = 0, INIT_74 = 0, INIT_75 = 0, INIT_76 = 0, INIT_77 = 0,
        INIT_78 = 0, INIT_79 = 0, INIT_7A = 0, INIT_7B = 0, INIT_7C = 0, INIT_7D = 0, INIT_7E = 0, INIT_7F = 0,
        INITP_00 = 0, INITP_01 = 0, INITP_02 = 0, INITP_03 = 0, INITP_04 = 0, INITP_05 = 0, INITP_06 = 0,
        INITP_07 = 0, INITP_08 = 0, INITP_09 = 0, INITP_0A = 0, INITP_0B = 0, INITP_0C = 0, INITP_0D = 0,
        INITP_0E = 0, INITP_0F = 0;

    localparam [32767:0] DATA = {
        INIT_7F, INIT_7E, INIT_7D, INIT_7C, INIT_7B, INIT_7A, INIT_79, INIT_78, INIT_77, INIT_76, INIT_75,
        INIT_74, INIT_73, INIT_72, INIT_71, INIT_70, INIT_6F, INIT_6E, INIT_6D, INIT_6C, INIT_6B, INIT_6A,
        INIT_69, INIT_68, INIT_67, INIT_66, INIT_65, INIT_64, INIT_63, INIT_62, INIT_61, INIT_60, INIT_5F,
        INIT_5E, INIT_5D, INIT_5C, INIT_5B, INIT_5A, INIT_59, INIT_58, INIT_57, INIT_56, INIT_55, INIT_54,
        INIT_53, INIT_52, INIT_51, INIT_50, INIT_4F, INIT_4E, INIT_4D, INIT_4C, INIT_4B, INIT_4A, INIT_49,
        INIT_48, INIT_47, INIT_46, INIT_45, INIT_44, INIT_43, INIT_42, INIT_41, INIT_40, INIT_3F, INIT_3E,
        INIT_3D, INIT_3C, INIT_3B, INIT_3A, INIT_39, INIT_38, INIT_37, INIT_36, INIT_35, INIT_34, INIT_33,
        INIT_32, INIT_31, INIT_30, INIT_2F, INIT_2E, INIT_2D, INIT_2C, INIT_2B, INIT_2A, INIT_29, INIT_28,
        INIT_27, INIT_26, INIT_25, INIT_24, INIT_23, INIT_22, INIT_21, INIT_20, INIT_1F, INIT_1E, INIT_1D,
        INIT_1C, INIT_1B, INIT_1A, INIT_19, INIT_18, INIT_17, INIT_16, INIT_15, INIT_14, INIT_13, INIT_12,
        INIT_11, INIT_10, INIT_0F, INIT_0E, INIT_0D, INIT_0C, INIT_0B, INIT_0A, INIT_09, INIT_08, INIT_07,
        INIT_06, INIT_05, INIT_04, INIT_03, INIT_02, INIT_01, INIT_00
    };
    localparam [4095:0] PARITY = {
        INITP_0F, INITP_0E, INITP_0D, INITP_0C, INITP_0B, INITP_0A, INITP_09, INITP_08, INITP_07, INITP_06,
        INITP_05, INITP_04, INITP_03, INITP_02, INITP_01, INITP_00
    };

    integer k;
    initial begin
        for (k = 0; k < 4096; k = k + 1) ram.mem[k] = {PARITY[k], DATA[8 * k +: 8]};
        if (DOA_REG != 0 || DOB_REG != 0) $fatal(1, "RAMB36E1 with output registers is not modelled");
        if (IS_CLKARDCLK_INVERTED || IS_CLKBWRCLK_INVERTED || IS_ENARDEN_INVERTED || IS_ENBWREN_INVERTED ||
            IS_RSTRAMARSTRAM_INVERTED || IS_RSTRAMB_INVERTED)
            $fatal(1, "RAMB36E1 with an inverted input is not modelled");
        if (RAM_MODE != "TDP" && RAM_MODE != "SDP") $fatal(1, "RAMB36E1 with RAM_MODE = %s is not modelled", RAM_MODE);
        if (RAM_MODE == "SDP" && (READ_WIDTH_B != 0 || WRITE_WIDTH_A != 0))
            $fatal(1, "RAMB36E1 that reads on port B or writes on port A is no SDP");
        if (RAM_EXTENSION_A != "NONE" || RAM_EXTENSION_B != "NONE" || EN_ECC_READ != "FALSE" || EN_ECC_WRITE != "FALSE")
            $fatal(1, "RAMB36E1 with cascade or error correction is not modelled");
    end

    localparam SDP = RAM_MODE == "SDP";
    wire [71:0] do_a, do_b;
    wire [71:0] di_a = {DIPADIP[3], DIADI[31:24], DIPADIP[2], DIADI[23:16], DIPADIP[1], DIADI[15:8], DIPADIP[0], DIADI[7:0]};
    wire [71:0] di_b = {DIPBDIP[3], DIBDI[31:24], DIPBDIP[2], DIBDI[23:16], DIPBDIP[1], DIBDI[15:8], DIPBDIP[0], DIBDI[7:0]};
    wire [35:0] upper = SDP && READ_WIDTH_A == 72 ? do_a[71:36] : do_b[35:0];

    weft_block_ram #(
        .BITS(15), .READ_A(READ_WIDTH_A), .WRITE_A(WRITE_WIDTH_A), .READ_B(READ_WIDTH_B), .WRITE_B(WRITE_WIDTH_B),
        .MODE_A(WRITE_MODE_A), .MODE_B(WRITE_MODE_B), .CROSS_A(WRITE_MODE_A == "READ_FIRST"),
        .CROSS_B(WRITE_MODE_B == "READ_FIRST"), .GATED(1),
        .INIT_A({{INIT_B[35], INIT_B[31:24], INIT_B[34], INIT_B[23:16], INIT_B[33], INIT_B[15:8], INIT_B[32], INIT_B[7:0]}, {INIT_A[35], INIT_A[31:24], INIT_A[34], INIT_A[23:16], INIT_A[33], INIT_A[15:8], INIT_A[32], INIT_A[7:0]}}), .INIT_B({INIT_B[35], INIT_B[31:24], INIT_B[34], INIT_B[23:16], INIT_B[33], INIT_B[15:8], INIT_B[32], INIT_B[7:0]}),
        .SRVAL_A({{SRVAL_B[35], SRVAL_B[31:24], SRVAL_B[34], SRVAL_B[23:16], SRVAL_B[33], SRVAL_B[15:8], SRVAL_B[32], SRVAL_B[7:0]}, {SRVAL_A[35], SRVAL_A[31:24], SRVAL_A[34], SRVAL_A[23:16], SRVAL_A[33], SRVAL_A[15:8], SRVAL_A[32], SRVAL_A[7:0]}}), .SRVAL_B({SRVAL_B[35], SRVAL_B[31:24], SRVAL_B[34], SRVAL_B[23:16], SRVAL_B[33], SRVAL_B[15:8], SRVAL_B[32], SRVAL_B[7:0]})
    ) ram (
        .clk_a(CLKARDCLK), .en_a(ENARDEN), .rst_a(RSTRAMARSTRAM), .we_a(SDP ? 8'd0 : WEA), .ad_a(ADDRARDADDR[14:0]),
        .di_a(di_a), .do_a(do_a),
        .clk_b(CLKBWRCLK), .en_b(ENBWREN), .rst_b(RSTRAMB), .we_b(WEBWE), .ad_b(ADDRBWRADDR[14:0]),
        .di_b(SDP && WRITE_WIDTH_B == 72 ? {di_b[35:0], di_a[35:0]} : di_b), .do_b(do_b)
    );
    assign {DOPADOP[0], DOADO[7:0]} = do_a[8:0];
    assign {DOPADOP[1], DOADO[15:8]} = do_a[17:9];
    assign {DOPADOP[2], DOADO[23:16]} = do_a[26:18];
    assign {DOPADOP[3], DOADO[31:24]} = do_a[35:27];
    assign {DOPBDOP[0], DOBDO[7:0]} = upper[8:0];
    assign {DOPBDOP[1], DOBDO[15:8]} = upper[17:9];
    assign {DOPBDOP[2], DOBDO[23:16]} = upper[26:18];
    assign {DOPBDOP[3], DOBDO[31:24]} = upper[35:27];
endmodule
