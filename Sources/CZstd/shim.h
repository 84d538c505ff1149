/* Contexts in memory of our own, and literal compression by choice, belong to the part of zstd's interface that is for static linking by
 * name; the shared library has had them since 1.4. */
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>

/* Finds no matches and codes every literal: a frame that is nothing but Huffman codes. A block is as large as the window, at
 * most 128 KiB, and has its own table. */
static inline size_t ckpt_zstd_set_huffman_only(ZSTD_CCtx *context) {
  const size_t level = ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, ZSTD_minCLevel());
  const size_t mode = ZSTD_CCtx_setParameter(context, ZSTD_c_literalCompressionMode, ZSTD_ps_enable);
  return ZSTD_isError(level) ? level : mode;
}
