// Plays one prompt into an exported core and prints what comes back: "<token> <tlast>" a line.
`timescale 1ns / 1ps

module bench;
  parameter IN = 136, OUT = 80, BEATS = 1;

  reg aclk = 0, aresetn = 0;
  reg [IN-1:0] prompt[0:BEATS-1];
  reg [31:0] beat = 0, cycle = 0;
  wire tready, tvalid, tlast, idle;
  wire [OUT-1:0] tdata;
  wire last = beat == BEATS - 1;
  wire takes = cycle[1] ^ cycle[0];  // a reader that is not always ready

  `TOP core (
      .aclk(aclk), .aresetn(aresetn), .idle(idle), .saturated(),
      .s_axis_request_tdata(prompt[beat < BEATS ? beat : 0]), .s_axis_request_tlast(last),
      .s_axis_request_tvalid(aresetn && beat < BEATS), .s_axis_request_tready(tready),
      .m_axis_token_tdata(tdata), .m_axis_token_tlast(tlast),
      .m_axis_token_tvalid(tvalid), .m_axis_token_tready(takes)
  );

  initial $readmemh("prompt.hex", prompt);
  always #5 aclk = ~aclk;

  always @(posedge aclk) begin
    cycle <= cycle + 1;
    aresetn <= cycle >= 4;
    if (aresetn && tready && beat < BEATS) beat <= beat + 1;
    if (aresetn && tvalid && takes) begin
      $display("%0d %0d %h", `TOKEN, tlast, tdata);
      if (tlast) $finish;
    end
    if (cycle == 100000) begin
      $display("no answer");
      $finish;
    end
  end
endmodule
