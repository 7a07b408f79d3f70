/* libmirrorkit_ops: operators of ONNX Runtime that run encoder layers in int8, and what puts them into a graph.
 *
 * A session takes them by RegisterCustomOpsLibrary_V2 (Python: SessionOptions.register_custom_ops_library), and then
 * runs graphs that mirrorkit_ops_rewrite returned. ONNX Runtime 1.17 or later is needed; the library is linked to none.
 * Every function may be called from any thread. */
#ifndef MIRRORKIT_OPS_H
#define MIRRORKIT_OPS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MIRRORKIT_OPS_ABI 1 /* what mirrorkit_ops_abi returns; it changes with anything in this file */

int mirrorkit_ops_abi(void);

/* The instructions that its arithmetic was chosen for here: "avx512-amx" (Linux alone), "avx512-vnni", "avx2" or
 * "plain". The environment variable MIRRORKIT_OPS_KERNELS may name others of these; NULL where the processor or its
 * system lacks those, and no session opens then. */
const char *mirrorkit_ops_kernels(void);

/* Puts an operator in place of every encoder layer of a serialized ONNX graph, as mirrorkit writes int8-fused graphs.
 * Returns how many layers that were, or -1 for bytes that are no readable graph or where memory is lacking. Where it is
 * more than 0, `*out` is the new graph, of `*out_size` bytes, to be freed by mirrorkit_ops_free; else it is NULL.
 * Weights that lie in other files still do. */
int mirrorkit_ops_rewrite(const void *graph, size_t size, void **out, size_t *out_size);

void mirrorkit_ops_free(void *graph);

#ifdef __cplusplus
}
#endif

#endif
