/* abi_test BUNDLE LIBONNXRUNTIME: a program that was built with another mirrorkit.h than the library that it runs with.
 * Without NEWER the header is the library's or an older one; with it a later one, whose structs have fields `newer`. */

#include <mirrorkit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures = 0;

#define CHECK(condition)                                                                   \
  do {                                                                                     \
    if (!(condition)) {                                                                    \
      fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #condition, mirrorkit_last_error()); \
      ++failures;                                                                          \
    }                                                                                      \
  } while (0)

enum { around = 256, mark = 0xAB };

/* Structs as they lie in a program: other things come right before and after them. */
typedef struct guarded_params {
  unsigned char before[around];
  mirrorkit_params own;
  unsigned char after[around];
} guarded_params;

typedef struct guarded_options {
  unsigned char before[around];
  mirrorkit_options own;
  unsigned char after[around];
} guarded_options;

typedef struct guarded_reader {
  unsigned char before[around];
  mirrorkit_reader own;
  unsigned char after[around];
} guarded_reader;

static int is_whole(const unsigned char *bytes) {
  for (int i = 0; i < around; ++i) {
    if (bytes[i] != mark) return 0;
  }
  return 1;
}

static int32_t read_nothing(void *user, const char *path, const void **data, size_t *length) {
  (void)path, (void)data, (void)length;
  ++*(int *)user;
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  static guarded_params params;
  static guarded_options options;
  static guarded_reader reader;
  int asked = 0;
  memset(&params, mark, sizeof params);
  memset(&options, mark, sizeof options);
  memset(&reader, mark, sizeof reader);
  params.own = mirrorkit_default_params();
  options.own = mirrorkit_default_options();
  memset(&reader.own, 0, sizeof reader.own);
  reader.own.size = sizeof reader.own;
  reader.own.read = read_nothing;
  reader.own.user = &asked;
  CHECK(params.own.size == sizeof(mirrorkit_params));
  params.own.variant = "fp32";
  params.own.onnxruntime = argv[2];
  options.own.truncate_dim = 4;

  mirrorkit_encoder *encoder = NULL;
  CHECK(mirrorkit_create_from_reader(&reader.own, &params.own, &encoder) == MIRRORKIT_NOT_FOUND);
  CHECK(asked == 1);
  CHECK(mirrorkit_create(argv[1], &params.own, &encoder) == MIRRORKIT_OK);
  if (encoder == NULL) return 1;
  const char *text = "a cat";
  float vector[5] = {0, 0, 0, 0, 7};
  CHECK(mirrorkit_dim_with(encoder, &options.own) == 4);
  CHECK(mirrorkit_encode_with(encoder, &options.own, &text, NULL, 1, vector, 4) == MIRRORKIT_OK);
  CHECK(vector[0] != 0 && vector[4] == 7);
  CHECK(is_whole(params.before) && is_whole(params.after));
  CHECK(is_whole(options.before) && is_whole(options.after));
  CHECK(is_whole(reader.before) && is_whole(reader.after));

#ifdef NEWER /* an option that the library has never heard of must not be passed over */
  mirrorkit_encoder *other = NULL;
  params.own.newer[3] = 1;
  CHECK(mirrorkit_create(argv[1], &params.own, &other) == MIRRORKIT_INVALID_ARGUMENT);
  CHECK(strstr(mirrorkit_last_error(), "later release") != NULL);
  params.own.newer[3] = 0;
  options.own.newer[0] = 1;
  CHECK(mirrorkit_encode_with(encoder, &options.own, &text, NULL, 1, vector, 4) == MIRRORKIT_INVALID_ARGUMENT);
  reader.own.newer[1] = 1;
  CHECK(mirrorkit_create_from_reader(&reader.own, &params.own, &other) == MIRRORKIT_INVALID_ARGUMENT);
  options.own.newer[0] = 0;
#endif
  const size_t wrong[] = {0, 1, sizeof(size_t), (size_t)-1, 1 << 20};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    options.own.size = wrong[i];
    CHECK(mirrorkit_dim_with(encoder, &options.own) == 0);
    CHECK(mirrorkit_encode_with(encoder, &options.own, &text, NULL, 1, vector, 4) == MIRRORKIT_INVALID_ARGUMENT);
  }
  mirrorkit_free(encoder);
  if (failures == 0) puts("ok");
  return failures == 0 ? 0 : 1;
}
