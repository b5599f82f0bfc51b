/**
 * The README's first screen, as it stands there: cluster/bootstrap, one export by curl, the trace read back through another
 * node, cluster status, Ctrl-C; and after a second start on the same data the trace is still there.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Bootstrap, freeBase } from './bootstrap-process.ts';

const root = join(import.meta.dirname, '../..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');

let data: string;
let bootstrap: Bootstrap | undefined;
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'quorate-newcomer-'));
});
afterEach(async () => {
  await bootstrap?.stop();
  rmSync(data, { recursive: true });
});

/** The part of the README's script between two texts, with the ports of this test. */
function command(from: string, to: string, base: number): string {
  const start = readme.indexOf(from);
  const end = readme.indexOf(to, start);
  if (start < 0 || end < 0) throw new Error(`the README has no ${from}`);
  const script = readme.slice(start, end);
  return script.replaceAll(
    /127\.0\.0\.1:43(\d)8/g,
    (_, ten: string) => `127.0.0.1:${base + 10 * (Number(ten) - 1) + 1}`,
  );
}

function shell(script: string, environment: Record<string, string> = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(
      'bash',
      ['-euc', script],
      { cwd: root, env: { ...process.env, ...environment } },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`${script}\n${stdout}${stderr}`));
      },
    );
  });
}

it('write one thing, read it back from another node, stop, start again, read it again', async () => {
  const base = await freeBase();
  const start = async (): Promise<void> => {
    bootstrap = new Bootstrap(['--base-port', String(base), '--data', data]);
    await bootstrap.printed(/The cluster serves/);
  };
  await start();
  const answer = await shell(command('curl -s', '\n\nbin/quorate trace get', base));
  expect(JSON.parse(answer)).toEqual({});

  const lookUp = command('bin/quorate trace get', 'bin/quorate cluster status', base);
  const tree = await shell(lookUp);
  expect(tree).toMatch(
    /^trace 4bf92f3577b34da6a3ce929d0e0e4736\n1 span, 1 service, 120 ms, [^]*\n\nshop {2}GET \/checkout +120 ms +█+\n$/,
  );

  const status = await shell('bin/quorate cluster status', { QUORATE_URL: `http://127.0.0.1:${base + 1}` });
  expect(status).toMatch(/^mode cp, leader n[123], term \d+, commit \d+, format level \d+, as n1 sees it$/m);
  expect(status.match(/ (leader|follower) +(not )?ready +yes /g)).toHaveLength(3);

  expect(await bootstrap?.stop()).toBe(0);
  await start();
  expect(await shell(lookUp)).toBe(tree);
});
