/* The data of ICU, left out. Foundation is linked into the library statically and would bring 34 MB
 * of Unicode and locale tables, which nothing in the engine uses. With this symbol in place the
 * linker does not take the object that holds them; ICU finds no valid header and reports that its
 * data is missing. In a library that is linked to a dynamic Foundation the symbol is not used. */
__attribute__((aligned(16), visibility("hidden"))) const unsigned char icudt76_dat[64] = {0};
