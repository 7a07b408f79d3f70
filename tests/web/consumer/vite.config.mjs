// Nothing but what any project with a module worker that loads parts of itself later needs.
export default { base: "./", build: { target: "esnext" }, worker: { format: "es" } };
