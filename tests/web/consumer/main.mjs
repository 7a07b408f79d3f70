const worker = new Worker(new URL("./worker.mjs", import.meta.url), { type: "module" });

/** Have the worker do a job of drive.mjs. */
globalThis.ask = (job) =>
  new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
    const absolute = (place) => new URL(place, document.baseURI).href;
    worker.postMessage(job.places ? { ...job, places: job.places.map(absolute) } : { ...job, place: absolute(job.place) });
  });
