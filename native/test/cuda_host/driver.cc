// Nothing of the driver and of cuBLAS's older interface is called; their libraries only have to be there.
extern "C" int cuInit(unsigned) { return 0; }
