/* mirrorkit: sentence vectors from an exported bundle, in C.
 *
 *   #include <mirrorkit.h>
 *   #include <stdio.h>
 *   #include <stdlib.h>
 *
 *   int main(void) {
 *     const char *texts[] = {"A cat sat on the mat.", "Ein Satz auf Deutsch."};
 *     mirrorkit_params params = mirrorkit_default_params();
 *     params.variant = "fp32";
 *     mirrorkit_encoder *encoder = NULL;
 *     if (mirrorkit_create("bundle", &params, &encoder) != MIRRORKIT_OK) {
 *       fprintf(stderr, "%s\n", mirrorkit_last_error());
 *       return 1;
 *     }
 *     const size_t dim = (size_t)mirrorkit_dim(encoder);
 *     float *vectors = malloc(2 * dim * sizeof(float));
 *     if (vectors == NULL || mirrorkit_encode(encoder, texts, NULL, 2, vectors, 2 * dim) != MIRRORKIT_OK) {
 *       fprintf(stderr, "%s\n", mirrorkit_last_error());
 *       return 1;
 *     }
 *     double cosine = 0;
 *     for (size_t i = 0; i < dim; ++i) cosine += vectors[i] * vectors[dim + i];
 *     printf("%f\n", cosine);
 *     free(vectors);
 *     mirrorkit_free(encoder);
 *     return 0;
 *   }
 *
 * Ownership: whatever goes in stays the caller's and need not outlive the call, except `log_user`, which must outlive
 * the encoder. The caller frees an encoder, and nothing else; strings that come out belong to the library.
 *
 * Threads: any number of threads may use one encoder at the same time. mirrorkit_free must come after all of them.
 * mirrorkit_last_error is kept apart for each thread.
 *
 * Errors: functions that can fail return a status; on anything but MIRRORKIT_OK what they would have written is
 * undefined, and mirrorkit_last_error says what was wrong. No call ends the process or throws.
 */
#ifndef MIRRORKIT_H
#define MIRRORKIT_H

#include <stddef.h>
#include <stdint.h>

#if defined(MIRRORKIT_STATIC)
#define MIRRORKIT_API
#elif defined(_WIN32) && defined(MIRRORKIT_BUILDING)
#define MIRRORKIT_API __declspec(dllexport)
#elif defined(_WIN32)
#define MIRRORKIT_API __declspec(dllimport)
#elif defined(__GNUC__)
#define MIRRORKIT_API __attribute__((visibility("default")))
#else
#define MIRRORKIT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum mirrorkit_status {
  MIRRORKIT_OK = 0,
  MIRRORKIT_INVALID_ARGUMENT = 1, /* null, not UTF-8, out of range */
  MIRRORKIT_NOT_FOUND = 2,        /* the folder, a file in it, the variant, or ONNX Runtime */
  MIRRORKIT_BAD_BUNDLE = 3,       /* damaged, incomplete, or not a bundle */
  MIRRORKIT_UNSUPPORTED = 4,      /* a sound bundle that has something this library does not know */
  MIRRORKIT_BUFFER_TOO_SMALL = 5,
  MIRRORKIT_RUNTIME_ERROR = 6, /* ONNX Runtime failed, or gave values that are no numbers */
  MIRRORKIT_OUT_OF_MEMORY = 7
} mirrorkit_status;

typedef enum mirrorkit_log_level {
  MIRRORKIT_LOG_INFO = 0,
  MIRRORKIT_LOG_WARNING = 1,
  MIRRORKIT_LOG_ERROR = 2
} mirrorkit_log_level;

/* Called from any thread that uses the encoder. `message` is gone after the call. */
typedef void (*mirrorkit_log_callback)(mirrorkit_log_level level, const char *message, void *user);

typedef struct mirrorkit_encoder mirrorkit_encoder;

typedef struct mirrorkit_params {
  size_t size;             /* of this struct; as mirrorkit_default_params sets it */
  const char *variant;     /* "auto" (the fastest one that verification let pass), "fp32" (fused where there is one),
                              "fp32-fused", "fp16", "int8", "int4", "static", or a graph's file in the bundle */
  const char *onnxruntime; /* path of libonnxruntime; NULL: the environment variable MIRRORKIT_ONNXRUNTIME, then the
                              linked one where the library was built so, then the loader's search path */
  int32_t threads;         /* for one call of mirrorkit_encode; 0: as ONNX Runtime sees fit */
  size_t batch_tokens;     /* of one pass of the model, padding included */
  int32_t verify;          /* not 0: hold the files against their recorded SHA-256 before use */
  int32_t low_memory;      /* not 0: give memory back after each pass of the model instead of keeping it for the next */
  int32_t tokenizer_only;  /* not 0: open no graph and need no ONNX Runtime; mirrorkit_encode then fails */
  mirrorkit_log_callback log; /* NULL: silent */
  void *log_user;
  const char *prompt;      /* put before each text, UTF-8; NULL: the prompt called `prompt_name` */
  const char *prompt_name; /* of one of the bundle's prompts; NULL: its default one, where it has one */
  int32_t truncate_dim;    /* leading numbers of a vector that are kept; 0: all */
  int32_t normalize;       /* not 0: bring what is left to unit length; 0: the length that the model gives */
} mirrorkit_params;

/* What mirrorkit_encode_with does other than the encoder's params say; the fields mean the same. */
typedef struct mirrorkit_options {
  size_t size; /* of this struct; as mirrorkit_default_options sets it */
  const char *prompt;
  const char *prompt_name;
  int32_t truncate_dim;
  int32_t normalize;
} mirrorkit_options;

/* variant "auto", 512 batch tokens, verify on, all else 0 or NULL */
MIRRORKIT_API mirrorkit_params mirrorkit_default_params(void);

/* Opens the bundle in `folder`, a UTF-8 path; `params` may be NULL. On failure *encoder is NULL. */
MIRRORKIT_API mirrorkit_status mirrorkit_create(const char *folder, const mirrorkit_params *params,
                                                mirrorkit_encoder **encoder);

/* NULL is allowed. */
MIRRORKIT_API void mirrorkit_free(mirrorkit_encoder *encoder);

MIRRORKIT_API int32_t mirrorkit_dim(const mirrorkit_encoder *encoder);        /* floats of a vector; 0 for NULL */
MIRRORKIT_API int32_t mirrorkit_max_length(const mirrorkit_encoder *encoder); /* tokens, special ones included */
MIRRORKIT_API const char *mirrorkit_variant(const mirrorkit_encoder *encoder);             /* the one chosen */
MIRRORKIT_API const char *mirrorkit_onnxruntime_version(const mirrorkit_encoder *encoder); /* "" where none is open */

/* not 0: vectors have unit length as the model gives them, whatever `truncate_dim` then cuts off */
MIRRORKIT_API int32_t mirrorkit_normalized(const mirrorkit_encoder *encoder);

/* Writes `count` vectors, one after the other, to `vectors`, which has room for `capacity` floats. texts[i] is UTF-8 of
 * lengths[i] bytes, zero bytes among them being ordinary characters; with `lengths` NULL each text ends at its first
 * zero byte. Text beyond mirrorkit_max_length is cut. Fails as a whole, naming the text. */
MIRRORKIT_API mirrorkit_status mirrorkit_encode(const mirrorkit_encoder *encoder, const char *const *texts,
                                                const size_t *lengths, size_t count, float *vectors, size_t capacity);

/* The bundle's default prompt, all numbers, the length that the model gives: everything 0 or NULL. */
MIRRORKIT_API mirrorkit_options mirrorkit_default_options(void);

/* floats of a vector of mirrorkit_encode_with; 0 for options that cannot be */
MIRRORKIT_API int32_t mirrorkit_dim_with(const mirrorkit_encoder *encoder, const mirrorkit_options *options);

/* The same as mirrorkit_encode with options of this call's own; NULL: those of the encoder. */
MIRRORKIT_API mirrorkit_status mirrorkit_encode_with(const mirrorkit_encoder *encoder, const mirrorkit_options *options,
                                                     const char *const *texts, const size_t *lengths, size_t count,
                                                     float *vectors, size_t capacity);

/* Writes how alike each of `count_a` vectors is to each of `count_b`, all of `dim` floats, to scores[i * count_b + j]:
 * by the model's own function, a distance being below zero, so that more is always more alike. */
MIRRORKIT_API mirrorkit_status mirrorkit_similarity(const mirrorkit_encoder *encoder, const float *a, size_t count_a,
                                                    const float *b, size_t count_b, size_t dim, float *scores);

/* "cosine", "dot", "euclidean" or "manhattan"; "" for NULL */
MIRRORKIT_API const char *mirrorkit_similarity_name(const mirrorkit_encoder *encoder);

/* Writes how many tokens the model sees of each text, the encoder's prompt included, to counts[0 … count - 1]. */
MIRRORKIT_API mirrorkit_status mirrorkit_token_counts(const mirrorkit_encoder *encoder, const char *const *texts,
                                                      const size_t *lengths, size_t count, size_t *counts);

/* Writes the token ids of one text, the encoder's prompt and special ones included, and their number to *count. `ids` may be NULL with
 * `capacity` 0. Where `capacity` is too small only *count is written. */
MIRRORKIT_API mirrorkit_status mirrorkit_token_ids(const mirrorkit_encoder *encoder, const char *text, size_t length,
                                                   int32_t *ids, size_t capacity, size_t *count);

/* What was wrong with this thread's last call that failed; "" before the first. */
MIRRORKIT_API const char *mirrorkit_last_error(void);

/* "ok", "invalid argument", … */
MIRRORKIT_API const char *mirrorkit_status_name(mirrorkit_status status);

/* "MAJOR.MINOR.PATCH" of the library. */
MIRRORKIT_API const char *mirrorkit_version(void);

#ifdef __cplusplus
}
#endif

#endif
