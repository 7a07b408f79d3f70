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
 * Ownership: whatever goes in stays the caller's and need not outlive the call, except `log_user`, `ort_env` and the
 * files of a bundle in memory, which must outlive the encoder. The caller frees an encoder and an abort, and nothing
 * else; strings that come out belong to the library.
 *
 * Threads: any number of threads may use one encoder at the same time. mirrorkit_free must come after all of them.
 * mirrorkit_last_error is kept apart for each thread.
 *
 * Errors: functions that can fail return a status; on anything but MIRRORKIT_OK what they would have written is
 * undefined, and mirrorkit_last_error says what was wrong. No call ends the process, and none throws: a C++ exception
 * that leaves a callback is caught, and is a failure of what called it.
 *
 * Releases: every struct begins with its size, which the program sets; the library reads nothing beyond it. 0 and NULL
 * are the default of every field, so a program that was built with an older header gets what it always got, and one
 * that was built with a newer one gets an error where it sets a field that the library does not know.
 */
#ifndef MIRRORKIT_H
#define MIRRORKIT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

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
  MIRRORKIT_NOT_FOUND = 2,        /* the bundle, a file in it, the variant, or ONNX Runtime */
  MIRRORKIT_BAD_BUNDLE = 3,       /* damaged, incomplete, or not a bundle */
  MIRRORKIT_UNSUPPORTED = 4,      /* a sound bundle that has something this library does not know */
  MIRRORKIT_BUFFER_TOO_SMALL = 5,
  MIRRORKIT_RUNTIME_ERROR = 6, /* ONNX Runtime failed, or gave values that are no numbers */
  MIRRORKIT_OUT_OF_MEMORY = 7,
  MIRRORKIT_ABORTED = 8 /* by mirrorkit_abort_set; the encoder is as good as before */
} mirrorkit_status;

typedef enum mirrorkit_log_level {
  MIRRORKIT_LOG_INFO = 0,
  MIRRORKIT_LOG_WARNING = 1,
  MIRRORKIT_LOG_ERROR = 2
} mirrorkit_log_level;

/* Called from any thread that uses the encoder. `message` is gone after the call. */
typedef void (*mirrorkit_log_callback)(mirrorkit_log_level level, const char *message, void *user);

typedef struct mirrorkit_encoder mirrorkit_encoder;
typedef struct mirrorkit_abort mirrorkit_abort;

typedef struct mirrorkit_params {
  size_t size;             /* of this struct */
  const char *variant;     /* NULL or "auto" (the fastest one that verification let pass), "fp32" (fused where there is
                              one), "fp32-fused", "fp16", "int8", "int4", "static", or a graph's file in the bundle */
  const char *onnxruntime; /* path of libonnxruntime; NULL: the environment variable MIRRORKIT_ONNXRUNTIME, then the
                              linked one where the library was built so, then the loader's search path */
  size_t batch_tokens;     /* of one pass of the model, padding included; 0: 512 */
  int32_t threads;         /* for one call of mirrorkit_encode; 0: as ONNX Runtime sees fit */
  int32_t low_memory;      /* not 0: give memory back after each pass of the model instead of keeping it for the next */
  int32_t unverified;      /* not 0: do not hold the files against their recorded SHA-256 */
  int32_t tokenizer_only;  /* not 0: open no graph and need no ONNX Runtime; mirrorkit_encode then fails */
  mirrorkit_log_callback log; /* NULL: silent */
  void *log_user;
  const char *prompt;      /* put before each text, UTF-8; NULL: the prompt called `prompt_name` */
  const char *prompt_name; /* of one of the bundle's prompts; NULL: its default one, where it has one */
  int32_t truncate_dim;    /* leading numbers of a vector that are kept; 0: all */
  int32_t normalize;       /* not 0: bring what is left to unit length; 0: the length that the model gives */
  const char *provider;    /* what ONNX Runtime runs the graph on: NULL or "CPU", "CUDA", "TensorRT", "XNNPACK", or
                              another name that its SessionOptionsAppendExecutionProvider takes */
  const char *const *provider_options; /* of that one: "key", "value", "key", "value", …, NULL */
  const char *const *session_options;  /* the same for ONNX Runtime's session: keys of its
                                          onnxruntime_session_options_config_keys.h */
  const void *ort_api_base; /* what the program's own OrtGetApiBase() gives; NULL: by `onnxruntime` */
  void *ort_env;            /* an OrtEnv of that one's, kept by the program; NULL: the one that all encoders of the
                               process share */
} mirrorkit_params;

/* What a call does other than the encoder's params say; the fields mean the same. */
typedef struct mirrorkit_options {
  size_t size; /* of this struct */
  const char *prompt;
  const char *prompt_name;
  int32_t truncate_dim;
  int32_t normalize;
  mirrorkit_abort *abort; /* ends the call where it is set; NULL: nothing does */
  size_t *cut;            /* gets, for each text, how many of its tokens were left out at mirrorkit_max_length, which
                             takes reading long texts to their end; NULL: nobody wants to know */
} mirrorkit_options;

/* How mirrorkit_create_from_reader gets at the files of a bundle. Both are called by the thread that opens the encoder
 * or calls mirrorkit_read; `release` also by the one that frees the encoder. */
typedef struct mirrorkit_reader {
  size_t size; /* of this struct */
  /* Sets *data and *length to the whole content of the file of that path in the bundle and returns 0; any other value
   * says that there is none. The bytes must stay as they are until they are released. */
  int32_t (*read)(void *user, const char *path, const void **data, size_t *length);
  void (*release)(void *user, const void *data, size_t length); /* once for each that was read; NULL: nothing to do */
  void *user;
} mirrorkit_reader;

/* Everything 0 or NULL, which is: variant "auto", 512 batch tokens, files held against their hashes. */
static inline mirrorkit_params mirrorkit_default_params(void) {
  mirrorkit_params params;
  memset(&params, 0, sizeof params);
  params.size = sizeof params;
  return params;
}

/* The bundle's default prompt, all numbers, the length that the model gives: everything 0 or NULL. */
static inline mirrorkit_options mirrorkit_default_options(void) {
  mirrorkit_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  return options;
}

/* Opens a bundle: a folder, or a .mkit file as `mirrorkit pack` writes it, which is mapped into memory. `path` is UTF-8,
 * `params` may be NULL. On failure *encoder is NULL. */
MIRRORKIT_API mirrorkit_status mirrorkit_create(const char *path, const mirrorkit_params *params,
                                                mirrorkit_encoder **encoder);

/* Opens a bundle that is in memory: data[i] of lengths[i] bytes is the file of the path paths[i] in it, with forward
 * slashes. A single one may be a .mkit file, whatever it is called. Nothing is copied: the bytes must stay as they are
 * until mirrorkit_free. */
MIRRORKIT_API mirrorkit_status mirrorkit_create_from_memory(const char *const *paths, const void *const *data,
                                                            const size_t *lengths, size_t count,
                                                            const mirrorkit_params *params,
                                                            mirrorkit_encoder **encoder);

/* Opens a bundle whose files the program reads itself. The reader is asked for those that are needed, each once. */
MIRRORKIT_API mirrorkit_status mirrorkit_create_from_reader(const mirrorkit_reader *reader,
                                                            const mirrorkit_params *params,
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

/* floats of a vector of mirrorkit_encode_with; 0 for options that cannot be */
MIRRORKIT_API int32_t mirrorkit_dim_with(const mirrorkit_encoder *encoder, const mirrorkit_options *options);

/* The same as mirrorkit_encode with options of this call's own; NULL: those of the encoder. */
MIRRORKIT_API mirrorkit_status mirrorkit_encode_with(const mirrorkit_encoder *encoder, const mirrorkit_options *options,
                                                     const char *const *texts, const size_t *lengths, size_t count,
                                                     float *vectors, size_t capacity);

/* The same of texts that are token ids already: ids[i] has lengths[i], at most mirrorkit_max_length, as
 * mirrorkit_token_ids gives them, prompt and special ones included. Nothing is added to them and nothing cut off; the
 * prompt of the options only tells how many of the first are not pooled, in models that leave prompts out. */
MIRRORKIT_API mirrorkit_status mirrorkit_encode_ids(const mirrorkit_encoder *encoder, const mirrorkit_options *options,
                                                    const int32_t *const *ids, const size_t *lengths, size_t count,
                                                    float *vectors, size_t capacity);

/* Writes how alike each of `count_a` vectors is to each of `count_b`, all of `dim` floats, to scores[i * count_b + j]:
 * by the model's own function, a distance being below zero, so that more is always more alike. */
MIRRORKIT_API mirrorkit_status mirrorkit_similarity(const mirrorkit_encoder *encoder, const float *a, size_t count_a,
                                                    const float *b, size_t count_b, size_t dim, float *scores);

/* "cosine", "dot", "euclidean" or "manhattan"; "" for NULL */
MIRRORKIT_API const char *mirrorkit_similarity_name(const mirrorkit_encoder *encoder);

/* Writes how many tokens the model sees of each text, prompt included, to counts[0 … count - 1]. */
MIRRORKIT_API mirrorkit_status mirrorkit_token_counts(const mirrorkit_encoder *encoder,
                                                      const mirrorkit_options *options, const char *const *texts,
                                                      const size_t *lengths, size_t count, size_t *counts);

/* Writes the token ids of one text, prompt and special ones included, and their number to *count. `ids` may be NULL
 * with `capacity` 0. Where `capacity` is too small only *count is written. */
MIRRORKIT_API mirrorkit_status mirrorkit_token_ids(const mirrorkit_encoder *encoder, const mirrorkit_options *options,
                                                   const char *text, size_t length, int32_t *ids, size_t capacity,
                                                   size_t *count);

/* Copies a file of the bundle, such as "golden.jsonl" or "mirrorkit.json", and writes its bytes to *length. `buffer`
 * may be NULL with `capacity` 0. Where `capacity` is too small only *length is written. */
MIRRORKIT_API mirrorkit_status mirrorkit_read(const mirrorkit_encoder *encoder, const char *path, void *buffer,
                                              size_t capacity, size_t *length);

/* What ends calls from another thread: given to any number of calls in their options, and freed after them. Once it is
 * set, they return MIRRORKIT_ABORTED: those at work soon, at the next operator of the graph, later ones at once, until
 * it is reset. NULL is allowed. */
MIRRORKIT_API mirrorkit_status mirrorkit_abort_create(mirrorkit_abort **abort);
MIRRORKIT_API void mirrorkit_abort_set(mirrorkit_abort *abort);
MIRRORKIT_API void mirrorkit_abort_reset(mirrorkit_abort *abort);
MIRRORKIT_API void mirrorkit_abort_free(mirrorkit_abort *abort);

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
