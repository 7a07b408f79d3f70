// How alike are two texts? A whole program in Rust on the C header of libmirrorkit; similarity.cpp is the same in C++.
//
//   rustc -O examples/similarity.rs $(pkg-config --libs mirrorkit)
//   ./similarity BUNDLE "one text" "another text"

use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::process::ExitCode;
use std::ptr::{null, null_mut};

// As mirrorkit.h has them; the encoder is never looked into.
extern "C" {
    fn mirrorkit_create(folder: *const c_char, params: *const c_void, encoder: *mut *mut c_void) -> c_int;
    fn mirrorkit_free(encoder: *mut c_void);
    fn mirrorkit_dim(encoder: *const c_void) -> i32;
    fn mirrorkit_encode(
        encoder: *const c_void,
        texts: *const *const c_char,
        lengths: *const usize,
        count: usize,
        vectors: *mut f32,
        capacity: usize,
    ) -> c_int;
    fn mirrorkit_similarity(
        encoder: *const c_void,
        a: *const f32,
        count_a: usize,
        b: *const f32,
        count_b: usize,
        dim: usize,
        scores: *mut f32,
    ) -> c_int;
    fn mirrorkit_last_error() -> *const c_char;
}

struct Encoder(*mut c_void);

// The library promises that any number of threads may use one encoder.
unsafe impl Send for Encoder {}
unsafe impl Sync for Encoder {}

impl Drop for Encoder {
    fn drop(&mut self) {
        unsafe { mirrorkit_free(self.0) }
    }
}

fn check(status: c_int) -> Result<(), String> {
    if status == 0 {
        return Ok(());
    }
    Err(unsafe { CStr::from_ptr(mirrorkit_last_error()) }.to_string_lossy().into_owned())
}

impl Encoder {
    /// Opens a bundle with the library's own choices; ONNX Runtime is the one in MIRRORKIT_ONNXRUNTIME or the loader's.
    fn open(folder: &str) -> Result<Encoder, String> {
        let folder = CString::new(folder).map_err(|_| "folder: has a zero byte in it".to_string())?;
        let mut handle = null_mut();
        check(unsafe { mirrorkit_create(folder.as_ptr(), null(), &mut handle) })?;
        Ok(Encoder(handle))
    }

    fn dim(&self) -> usize {
        unsafe { mirrorkit_dim(self.0) as usize }
    }

    /// Returns texts.len() vectors of dim() numbers, one after the other.
    fn encode(&self, texts: &[&str]) -> Result<Vec<f32>, String> {
        let pointers: Vec<_> = texts.iter().map(|text| text.as_ptr().cast()).collect();
        let lengths: Vec<_> = texts.iter().map(|text| text.len()).collect(); // so that none has to end in a zero byte
        let mut vectors = vec![0.0; texts.len() * self.dim()];
        check(unsafe {
            mirrorkit_encode(self.0, pointers.as_ptr(), lengths.as_ptr(), texts.len(), vectors.as_mut_ptr(), vectors.len())
        })?;
        Ok(vectors)
    }

    /// Returns how alike two vectors are by the model's own function.
    fn similarity(&self, a: &[f32], b: &[f32]) -> Result<f32, String> {
        assert_eq!(a.len(), b.len());
        let mut score = 0.0;
        check(unsafe { mirrorkit_similarity(self.0, a.as_ptr(), 1, b.as_ptr(), 1, a.len(), &mut score) })?;
        Ok(score)
    }
}

fn run(folder: &str, texts: &[&str; 2]) -> Result<f32, String> {
    let encoder = Encoder::open(folder)?;
    let vectors = encoder.encode(texts)?;
    let (first, second) = vectors.split_at(encoder.dim());
    encoder.similarity(first, second)
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let [_, folder, one, other] = words.as_slice() else {
        eprintln!("usage: similarity BUNDLE TEXT TEXT");
        return ExitCode::from(2);
    };
    match run(folder, &[one, other]) {
        Ok(score) => println!("{score:.4}"),
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
