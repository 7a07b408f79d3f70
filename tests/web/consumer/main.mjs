const worker = new Worker(new URL("./worker.mjs", import.meta.url), { type: "module" });

/** Have the worker do a job of drive.mjs. */
globalThis.ask = (job) =>
  new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage({ ...job, place: new URL(job.place, document.baseURI).href });
  });
