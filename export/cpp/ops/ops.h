/* libmirrorkit_ops: operators of ONNX Runtime that run encoder layers in int8 or in bf16, and what puts them into a
 * graph.
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

#define MIRRORKIT_OPS_ABI 2 /* what mirrorkit_ops_abi returns; it changes with anything in this file */

int mirrorkit_ops_abi(void);

/* The instructions that its arithmetic was chosen for here. For the precision "int8": "avx512-amx" (Linux alone),
 * "avx512-vnni", "avx2" or "plain"; for "bf16": "avx512-amx" or "avx512-bf16". The environment variable
 * MIRRORKIT_OPS_KERNELS may name others of these; NULL where the processor or its system lacks those, or has none for
 * bf16, and no session opens then. NULL for any other precision too. */
const char *mirrorkit_ops_kernels(const char *precision);

/* Puts an operator in place of every encoder layer of a serialized ONNX graph: for the precision "int8" of layers as
 * mirrorkit writes them in int8-fused graphs, for "bf16" as in fp32-fused ones. Returns how many layers that were, or
 * -1 for bytes that are no readable graph, for another precision or where memory is lacking. Where it is more than 0,
 * `*out` is the new graph, of `*out_size` bytes, to be freed by mirrorkit_ops_free; else it is NULL. Weights that lie
 * in other files still do. */
int mirrorkit_ops_rewrite(const void *graph, size_t size, const char *precision, void **out, size_t *out_size);

void mirrorkit_ops_free(void *graph);

#ifdef __cplusplus
}
#endif

#endif
