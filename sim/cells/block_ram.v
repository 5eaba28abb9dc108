// A block RAM of two ports, as the families have it in common; <family>.v puts it into their cells.
//
// A byte has nine bits, the ninth is the parity bit; a port has words of 1, 2, 4 (which leave the ninth bit out), 9,
// 18, 36 or 72 bits, 0 for none. An address counts bits: byte k is at 8*k, and a port leaves out the bits that its words
// do not need. What a port shows of a word that it writes itself:
//
//   NO_CHANGE    what it showed before
//   WRITE_FIRST  the new word, and the old bytes where none is written
//   READ_FIRST   the old word
//
// Who reads what the other port writes in the same cycle gets the old word if that port's CROSS is 1, else random bits:
// nobody promises anything. Both ports have one clock. Who uses it puts the initial contents into mem.

`timescale 1ps / 1ps

module weft_block_ram #(
    parameter BITS = 14,  // of an address
    parameter READ_A = 0, WRITE_A = 0, READ_B = 0, WRITE_B = 0,  // bits of a word
    parameter MODE_A = "READ_FIRST", MODE_B = "READ_FIRST",
    parameter CROSS_A = 0, CROSS_B = 0,
    parameter GATED = 0,  // reset counts only while the port is enabled
    parameter ASYNC = 0,  // reset acts at once
    parameter [71:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0
) (
    input clk_a, en_a, rst_a, input [7:0] we_a, input [BITS-1:0] ad_a, input [71:0] di_a, output [71:0] do_a,
    input clk_b, en_b, rst_b, input [7:0] we_b, input [BITS-1:0] ad_b, input [71:0] di_b, output [71:0] do_b
);
    reg [8:0] mem [0:(1 << (BITS - 3)) - 1];
    reg [71:0] q_a = INIT_A, q_b = INIT_B;

    initial
        if ((MODE_A == "WRITE_FIRST" && READ_A != 0 && WRITE_A != 0 && READ_A != WRITE_A) ||
            (MODE_B == "WRITE_FIRST" && READ_B != 0 && WRITE_B != 0 && READ_B != WRITE_B))
            $fatal(1, "a block RAM that shows what it writes, with words of two widths, is not modelled");

    assign do_a = ASYNC && rst_a ? SRVAL_A : q_a;
    assign do_b = ASYNC && rst_b ? SRVAL_B : q_b;
    wire [7:0] w_a = WRITE_A != 0 && en_a ? we_a & lanes(WRITE_A) : 8'd0;
    wire [7:0] w_b = WRITE_B != 0 && en_b ? we_b & lanes(WRITE_B) : 8'd0;

    function automatic [7:0] lanes(input integer width);
        lanes = width < 9 ? 8'd1 : (9'd1 << width / 9) - 9'd1;
    endfunction

    function automatic integer first(input integer width, input integer ad);  // byte of a word
        first = width < 9 ? ad >> 3 : ad >> 3 & -(width / 9);
    endfunction

    function automatic integer shift(input integer width, input integer ad);  // bit of a word in its byte
        shift = width < 9 ? ad & 7 & -width : 0;
    endfunction

    function automatic [71:0] word(input integer width, input integer ad);
        integer k;
        word = 0;
        for (k = 0; k < 8; k = k + 1) if (9 * k < width) word[9 * k +: 9] = mem[first(width, ad) + k];
        if (width < 9) word = word >> shift(width, ad) & (72'd1 << width) - 72'd1;
    endfunction

    // The word, where the other port writes: with random bits.
    function automatic [71:0] disturbed(input integer width, input integer ad, input integer other,
                                        input integer other_ad, input [7:0] other_w);
        integer k, l, coarse;
        disturbed = word(width, ad);
        coarse = width > other ? width : other;
        for (k = 0; k < 8; k = k + 1) if (9 * k < width || k == 0) begin
            l = first(width, ad) + k - first(other, other_ad);
            if (l >= 0 && l < 8 && other_w[l[2:0]] && !(coarse < 9 && shift(coarse, ad) != shift(coarse, other_ad)))
                disturbed[9 * k +: 9] = width < 9 ? $urandom & (1 << width) - 1 : $urandom;
        end
    endfunction

    function automatic [71:0] merged(input [71:0] old, input [71:0] fresh, input [7:0] w);
        integer k;
        for (k = 0; k < 8; k = k + 1) merged[9 * k +: 9] = w[k] ? fresh[9 * k +: 9] : old[9 * k +: 9];
    endfunction

    task automatic write(input integer width, input [7:0] w, input integer ad, input [71:0] data);
        integer k;
        for (k = 0; k < 8; k = k + 1) if (w[k] && width >= 9) mem[first(width, ad) + k] <= data[9 * k +: 9];
        for (k = 0; k < 8; k = k + 1)
            if (w[0] && k < width && width < 9) mem[first(width, ad)][shift(width, ad) + k] <= data[k];
    endtask

    always @(posedge clk_a) begin
        if (rst_a && (en_a || !GATED)) q_a <= SRVAL_A;
        else if (en_a && READ_A != 0 && w_a != 0 && MODE_A == "WRITE_FIRST")
            q_a <= merged(word(READ_A, ad_a), di_a, w_a);
        else if (en_a && READ_A != 0 && (w_a == 0 || MODE_A == "READ_FIRST"))
            q_a <= CROSS_B ? word(READ_A, ad_a) : disturbed(READ_A, ad_a, WRITE_B, ad_b, w_b);
        write(WRITE_A, w_a, ad_a, di_a);
    end

    always @(posedge clk_b) begin
        if (rst_b && (en_b || !GATED)) q_b <= SRVAL_B;
        else if (en_b && READ_B != 0 && w_b != 0 && MODE_B == "WRITE_FIRST")
            q_b <= merged(word(READ_B, ad_b), di_b, w_b);
        else if (en_b && READ_B != 0 && (w_b == 0 || MODE_B == "READ_FIRST"))
            q_b <= CROSS_A ? word(READ_B, ad_b) : disturbed(READ_B, ad_b, WRITE_A, ad_a, w_a);
        write(WRITE_B, w_b, ad_b, di_b);
    end
endmodule
