/* Prints the version of the library, and fails where it does not say what is wrong with a folder that is not there. */
#include <mirrorkit.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  mirrorkit_encoder *encoder = NULL;
  if (mirrorkit_create("no such folder", NULL, &encoder) != MIRRORKIT_NOT_FOUND) return 1;
  if (strstr(mirrorkit_last_error(), "no such folder") == NULL) return 1;
  printf("mirrorkit %s\n", mirrorkit_version());
  return 0;
}
