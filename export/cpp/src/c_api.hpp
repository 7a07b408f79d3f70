// What the functions of mirrorkit.h share: no exception leaves one of them.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "encoder.hpp"
#include "error.hpp"
#include "mirrorkit.h"

struct mirrorkit_encoder {
  mirrorkit_encoder(std::unique_ptr<const mk::Files> files, mk::Options options)
      : encoder(std::move(files), std::move(options)), onnxruntime_version(encoder.onnxruntime_version()) {}

  mk::Encoder encoder;
  std::string onnxruntime_version;
};

struct mirrorkit_abort {
  mk::Abort abort;
};

namespace mk {

// Keeps what mirrorkit_last_error is to say, and returns the status.
mirrorkit_status fail(mirrorkit_status status, const char* message) noexcept;

mirrorkit_status status_of(Status status) noexcept;

// Runs `work`, and turns whatever it throws into a status.
template <typename Work>
mirrorkit_status guarded(const Work& work) noexcept {
  try {
    work();
    return MIRRORKIT_OK;
  } catch (const Error& error) {
    return fail(status_of(error.status()), error.what());
  } catch (const std::bad_alloc&) {
    return fail(MIRRORKIT_OUT_OF_MEMORY, "out of memory");
  } catch (const std::length_error&) {
    return fail(MIRRORKIT_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return fail(MIRRORKIT_RUNTIME_ERROR, error.what());
  } catch (...) {
    return fail(MIRRORKIT_RUNTIME_ERROR, "an exception that is none of the standard library's");
  }
}

inline void require(bool condition, const char* message) {
  if (!condition) throw Error(Status::invalid_argument, message);
}

// Of mirrorkit_params and mirrorkit_options, which name these fields alike.
template <typename Fields>
Call call_of(const Fields& fields) {
  if (fields.truncate_dim < 0) {
    throw Error(Status::invalid_argument,
                "truncate_dim " + std::to_string(fields.truncate_dim) + ": must be at least 0");
  }
  Call call;
  if (fields.prompt != nullptr) call.prompt = fields.prompt;
  if (fields.prompt_name != nullptr) call.prompt_name = fields.prompt_name;
  call.truncate_dim = static_cast<std::size_t>(fields.truncate_dim);
  call.normalize = fields.normalize != 0;
  return call;
}

}  // namespace mk
