#define NAME_(isa) birnn_dummy_##isa
#define NAME(isa) NAME_(isa)
int NAME(BIRNN_ISA)() { return 1; }
