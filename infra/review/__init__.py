"""`roompulse alerts review`: what can fire, for whom, with which threshold and why; what drifted; what never fired.

`coverage` says what the stack and the rules declare, `deployed` what Azure has instead, `past` what a history shows; `review`
puts them together, `text` and `page` show it. What is read from Azure is read in `azure_reader`.
"""
