// Runs the bench in an interpreting simulator: clock, reset, waveform window.
//
//   +limit=<cycles at most> [+trace=<file> +from=<first cycle> +end=<end cycle>]
//
// Cycle 0 is the first after reset. The bench writes its own lines; the last one is written here.

`timescale 1ns / 1ns

module main;
  localparam RESET_CYCLES = 2;
  localparam FLUSH_EVERY = 512;

  reg clk = 0;
  reg rst = 1;
  wire done;
  wire hung;
  top top (.clk(clk), .rst(rst), .done(done), .hung(hung));

  reg [63:0] cycle = 0;
  reg [63:0] limit = 64'h7fffffffffffffff;
  reg [63:0] from = 0;
  reg [63:0] stop = 0;
  reg [8*4096-1:0] file;
  reg trace = 0;
  reg opened = 0;
  reg dumping = 0;
  integer edges;

  task clock(input [63:0] now);  // "now" is the number of the cycle that begins
    begin
      if (trace && !dumping && now >= from && now < stop) begin
        if (opened) $dumpon;
        else begin
          $dumpfile(file);
          $dumpvars(0, top);
        end
        opened = 1;
        dumping = 1;
      end
      if (dumping && now >= stop) begin
        $dumpoff;
        dumping = 0;
      end
      clk = 1;
      #5 clk = 0;
      #5;
    end
  endtask

  initial begin
    if ($value$plusargs("limit=%d", limit)) begin end
    if ($value$plusargs("from=%d", from)) begin end
    if ($value$plusargs("end=%d", stop)) begin end
    if ($value$plusargs("trace=%s", file)) trace = 1;
    for (edges = 0; edges < RESET_CYCLES; edges = edges + 1) clock(0);
    rst = 0;
    // Anything but a clean 1 keeps the clock running: an undefined "done" ends at the limit.
    while (done !== 1'b1 && cycle < limit) begin
      clock(cycle + 1);
      cycle = cycle + 1;
      if (cycle % FLUSH_EVERY == 0) $fflush;
    end
    if (done !== 1'b1) $display("e %08h limit", cycle[31:0]);
    else if (hung === 1'b0) $display("e %08h done", cycle[31:0]);
    else $display("e %08h hung", cycle[31:0]);
    $finish(0);
  end
endmodule
