/** Three projects: `unit` is quick and pure, `sim` runs the simulator, `system` starts real processes, one file at a time. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Left over from one project to the next: nothing. They run one after the other so that none starves another's timing.
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/sim/**', 'test/system/**', 'test/containers/**'],
          testTimeout: 20_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'sim',
          include: ['test/sim/**/*.test.ts'],
          testTimeout: 600_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'system',
          include: ['test/system/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 120_000,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
