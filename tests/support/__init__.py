"""What several folders of tests share: fakes for faults and clocks, judges from outside, worlds to test in."""
