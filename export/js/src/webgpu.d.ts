export * from "mirrorkit";
