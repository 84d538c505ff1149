/* The ckpt command of a wheel. Its code is in the libcheckpoint.so beside it. */
int ckpt_main(int argc, char **argv);

int main(int argc, char **argv) { return ckpt_main(argc, argv); }
