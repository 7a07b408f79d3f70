// What a program gets from its operating system: words in UTF-8, streams of bytes, what it has used.
#pragma once

#include <string>
#include <vector>

namespace cli {

// Returns the words of the command line after the program's name, in UTF-8.
std::vector<std::string> words_of(int argc, char** argv);

// Makes the standard streams ones of bytes, and a console show UTF-8.
void use_bytes();

// Returns CPU time of all threads so far, in seconds.
double cpu_seconds();

// Returns the most memory the program has held so far, in bytes.
double peak_memory();

}  // namespace cli
