import { defineConfig } from "drizzle-kit";

export default defineConfig({
  dialect: "postgresql",
  schema: "./persistence/*schema.ts",
  out: "./persistence/migrations",
});
