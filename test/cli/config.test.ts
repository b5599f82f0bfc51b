import { expect, it, describe } from 'vitest';
import {
  clientSettings,
  formatAge,
  formatBytes,
  limitFlag,
  nodeSettings,
  readClientSettings,
  readNodeConfig,
} from '../../src/config.ts';
import { formatAddress } from '../../src/platform/pipe.ts';
import { limits, settableLimits } from '../../src/limits.ts';
import type { NodeConfig } from '../../src/config.ts';
import { environmentName, nearestName } from '../../src/settings.ts';

const cluster = 'n1=10.0.0.1:4319,n2=10.0.0.2:4319,n3=10.0.0.3:4319';
const complete = { id: 'n1', data: '/data/n1', cluster };

interface Given {
  readonly flags?: Record<string, unknown>;
  readonly environment?: Record<string, string>;
  readonly file?: unknown;
}
function read({ flags = {}, environment = {}, file }: Given): { config: NodeConfig; warnings: string[] } {
  const readFile = (path: string): string => {
    if (file === undefined) throw new Error(`no file ${path}`);
    return typeof file === 'string' ? file : JSON.stringify(file);
  };
  return readNodeConfig({ flags, environment, readFile });
}
const config = (given: Given): NodeConfig => read(given).config;
function mistake(given: Given): string {
  try {
    read(given);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('accepted');
}

describe('where a setting comes from', () => {
  it('flag over environment over file over default', () => {
    const file = { ...complete, http: '127.0.0.1:1', 'log-level': 'trace', peer: '127.0.0.1:2' };
    const environment = { QUORATE_CONFIG: '/c.json', QUORATE_HTTP: '127.0.0.1:3', QUORATE_LOG_LEVEL: 'debug' };
    const { http, logLevel, peer, mode } = config({ flags: { 'log-level': 'warn' }, environment, file });
    expect([logLevel, http.port, peer.port, mode]).toEqual(['warn', 3, 2, 'cp']);
  });

  it('every setting has a variable of its own', () => {
    const names = [...Object.keys(nodeSettings), ...Object.keys(clientSettings)].map(environmentName);
    expect(new Set(names).size).toBe(names.length);
  });

  it('a node listens for its peers where the cluster calls it', () => {
    expect(config({ flags: { ...complete, id: 'n2' } }).peer).toEqual({ host: '10.0.0.2', port: 4319 });
    expect(config({ flags: { ...complete, peer: '0.0.0.0:4319' } }).peer).toEqual({ host: '0.0.0.0', port: 4319 });
  });

  it('the data directory is absolute', () => {
    expect(config({ flags: { ...complete, data: 'x/../y' } }).data).toBe(`${process.cwd()}/y`);
  });

  it('IPv6 addresses stand in brackets, there and back', () => {
    const { http } = config({ flags: { ...complete, http: '[::1]:4318' } });
    expect(http).toEqual({ host: '::1', port: 4318 });
    expect(formatAddress(http)).toBe('[::1]:4318');
  });
});

describe('a node that joins', () => {
  const { cluster: _, ...alone } = complete;
  const joining = { ...alone, join: '10.0.0.1:4319', peer: '10.0.0.4:4319' };

  it('names a member and itself instead of all members', () => {
    const { cluster: members, join, peer } = config({ flags: joining });
    expect({ members, join, peer }).toEqual({
      members: new Map(),
      join: { host: '10.0.0.1', port: 4319 },
      peer: { host: '10.0.0.4', port: 4319 },
    });
    expect(config({ flags: complete }).join).toBeNull();
  });

  it.each([
    [
      'neither',
      alone,
      '--cluster is missing: give --cluster ID=HOST:PORT,... to every node of a new cluster, or --join',
    ],
    ['both', { ...complete, join: '10.0.0.1:4319' }, '--cluster and --join are both given'],
    ['no address of its own', { ...alone, join: '10.0.0.1:4319' }, '--peer is missing: with --join, say'],
    ['no address of a member', { ...joining, join: 'n1' }, '--join: "n1" is not HOST:PORT'],
  ])('%s', (_title, flags, sentence) => {
    expect(mistake({ flags })).toContain(sentence);
  });
});

describe('limits', () => {
  it('every limit that can be set has a flag, with the value of limits.ts as its default', () => {
    for (const name of settableLimits) {
      const setting = nodeSettings[limitFlag(name) as keyof typeof nodeSettings];
      const byDefault = 'default' in setting ? setting.parse(setting.default) : null;
      expect([name, byDefault]).toEqual([name, limits[name]]);
    }
    expect(config({ flags: complete }).limits).toEqual(
      Object.fromEntries(settableLimits.map((name) => [name, limits[name]])),
    );
  });

  it('sizes have units, and what is set is what counts', () => {
    const flags = { ...complete, 'request-bytes-max': '1MiB', 'value-bytes-max': '4096', 'events-max': '0' };
    expect(config({ flags }).limits).toMatchObject({ requestBytesMax: 1 << 20, valueBytesMax: 4096, eventsMax: 0 });
  });

  it.each([
    ['request-bytes-max', '1MB', 'is not a size from 64KiB to 512MiB, for example 4MiB'],
    ['request-bytes-max', '1KiB', 'is not a size from 64KiB'],
    ['request-bytes-max', '65MiB', 'more than two thirds of --admission-bytes-max 96MiB'],
    ['span-bytes-max', '5MiB', 'to 4MiB'],
    ['attributes-max', '-1', 'is not a whole number from 1 to 1000000'],
    ['headers-timeout-ms', '40000', 'more than --request-timeout-ms 30000'],
  ])('--%s %s', (name, value, sentence) => {
    expect(mistake({ flags: { ...complete, [name]: value } })).toContain(sentence);
    expect(mistake({ flags: { ...complete, [name]: value } })).toContain(`--${name}: `);
  });

  it('no two of the ports are the same', () => {
    const flags = { ...complete, grpc: '127.0.0.1:9', http: '127.0.0.1:9' };
    expect(mistake({ flags })).toContain('--http and --grpc are both 127.0.0.1:9');
  });
});

describe('retention', () => {
  const day = 86_400_000;

  it('is for ever unless something is said, of age and of bytes each', () => {
    expect(config({ flags: complete }).retention).toEqual({ ageMs: null, bytes: null });
    expect(config({ flags: { ...complete, retention: '7d' } }).retention).toEqual({ ageMs: 7 * day, bytes: null });
    const environment = { QUORATE_RETENTION_BYTES: '50GB' };
    expect(config({ flags: complete, environment }).retention).toEqual({ ageMs: null, bytes: 50e9 });
  });

  it.each([
    ['7d', 7 * day],
    ['36h', 1.5 * day],
    ['90m', 5_400_000],
    ['45s', 45_000],
    ['1s', 1_000],
    ['36500d', 36_500 * day],
  ])('ages have units: %s', (text, ageMs) => {
    expect(config({ flags: { ...complete, retention: text } }).retention.ageMs).toBe(ageMs);
    expect(formatAge(ageMs)).toBe(text);
  });

  it.each([
    ['50GB', 50e9],
    ['500MB', 500e6],
    ['2GiB', 2 ** 31],
    ['1000KiB', 1_024_000],
    ['1234567B', 1_234_567],
    ['1000TB', 1e15],
  ])('bytes have units, of disks and of memory: %s', (text, bytes) => {
    expect(config({ flags: { ...complete, 'retention-bytes': text } }).retention.bytes).toBe(bytes);
    expect(config({ flags: { ...complete, 'retention-bytes': formatBytes(bytes) } }).retention.bytes).toBe(bytes);
  });

  it('bytes alone are bytes', () => {
    expect(config({ flags: { ...complete, 'retention-bytes': '1000000' } }).retention.bytes).toBe(1e6);
    expect([2 ** 31, 50e9, 1_234_567].map(formatBytes)).toEqual(['2GiB', '50GB', '1234567B']);
  });

  it.each(['', '7', '0d', '7 d', '1.5d', '-1d', '7w', 'd', '36501d', '7D'])('"%s" is no age', (text) => {
    expect(mistake({ flags: { ...complete, retention: text } })).toBe(
      `--retention: ${JSON.stringify(text)} is not an age from 1s to 36500d, for example 7d, 36h, 90m or 45s`,
    );
  });

  it.each(['', '0', '999999', '1.5GB', '50gb', '50G', '-1GB', '1001TB', 'GB'])('"%s" is no number of bytes', (text) => {
    expect(mistake({ flags: { ...complete, 'retention-bytes': text } })).toBe(
      `--retention-bytes: ${JSON.stringify(text)} is not a number of bytes from 1MB to 1000TB, for example 50GB, 500MB or 2GiB`,
    );
  });
});

describe('a wrong value names itself and what is allowed', () => {
  const cases: readonly [title: string, given: Given, sentence: string][] = [
    [
      'from the environment',
      { flags: complete, environment: { QUORATE_HTTP: 'abc' } },
      '--http: "abc" is not HOST:PORT, for example 127.0.0.1:4318 (from QUORATE_HTTP)',
    ],
    [
      'from a flag',
      { flags: { ...complete, peer: 'a:99999' } },
      '--peer: "a:99999" is not HOST:PORT, for example 127.0.0.1:4318',
    ],
    [
      'from the file',
      { flags: { config: '/etc/q.json' }, file: { ...complete, 'log-level': 'loud' } },
      '--log-level: "loud" is not one of trace, debug, info, warn, error, silent (from /etc/q.json)',
    ],
    [
      'of another type in the file',
      { flags: { config: '/q.json' }, file: { ...complete, http: 4318 } },
      '--http: 4318 is not text in quotes (from /q.json)',
    ],
    ['AP mode', { flags: { ...complete, mode: 'ap' } }, '--mode: "ap" is not in this version; use cp'],
    [
      'an empty id',
      { flags: { ...complete, id: '' } },
      '--id: "" is not a node id: letters, digits, dot, dash and underscore, at most 63, for example n1',
    ],
    [
      'an id outside the cluster',
      { flags: { ...complete, id: 'n9' } },
      '--id: "n9" is not in --cluster, which has n1, n2, n3',
    ],
    [
      'a cluster without addresses',
      { flags: { ...complete, cluster: 'n1,n2,n3' } },
      '--cluster: "n1,n2,n3" is not ID=HOST:PORT,..., for example n1=127.0.0.1:4319,n2=127.0.0.1:4329,n3=127.0.0.1:4339',
    ],
    [
      'a member twice',
      { flags: { ...complete, cluster: 'n1=a:1,n1=b:1' } },
      '--cluster: "n1=a:1,n1=b:1" names n1 twice',
    ],
    [
      'an address twice',
      { flags: { ...complete, cluster: 'n1=a:1,n2=a:1' } },
      '--cluster: "n1=a:1,n2=a:1" gives a:1 to two members',
    ],
    [
      'one port for both',
      { flags: { ...complete, http: '10.0.0.1:4319' } },
      '--http and --peer are both 10.0.0.1:4319; give each a port of its own.',
    ],
    [
      'nothing for a required one',
      { flags: { id: 'n1', cluster } },
      '--data is missing: give --data DIR or set QUORATE_DATA.',
    ],
    ['a file that is not there', { flags: { config: '/q.json' } }, '--config: /q.json cannot be read: no file /q.json'],
    [
      'a file that is a list',
      { flags: { config: '/q.json' }, file: [] },
      '--config: /q.json must hold one object, for example {"id": "n1"}',
    ],
  ];
  it.each(cases)('%s', (_title, given, sentence) => expect(mistake(given)).toBe(sentence));

  it('a file that is not JSON', () => {
    expect(mistake({ flags: { config: '/q.json' }, file: '{id' })).toMatch(/^--config: \/q\.json is not JSON: /);
  });

  it('more members than can sensibly vote', () => {
    const many = Array.from({ length: 8 }, (_, index) => `n${index}=h:${index + 1}`).join(',');
    expect(mistake({ flags: { ...complete, cluster: many } })).toMatch(/has 8 members; at most 7 can vote/);
  });
});

describe('an unknown name is refused with the nearest known one', () => {
  it('flag, variable, key of the file', () => {
    expect(mistake({ flags: { ...complete, htpp: 'x' } })).toBe('--htpp is not a setting; did you mean --http?');
    expect(mistake({ flags: complete, environment: { QUORATE_LOGLEVEL: 'x' } })).toBe(
      'QUORATE_LOGLEVEL is not a setting; did you mean QUORATE_LOG_LEVEL?',
    );
    expect(mistake({ flags: { config: '/q.json' }, file: { ...complete, pear: 'x' } })).toBe(
      '"pear" is not a setting; did you mean "peer"? (in /q.json)',
    );
  });

  it('lists all when none is near', () => {
    expect(mistake({ flags: { ...complete, sampling: '7d' } })).toMatch(
      /^--sampling is not a setting; known are --id, /,
    );
  });

  it('leaves alone what Kubernetes sets beside a service called quorate', () => {
    const environment = {
      QUORATE_SERVICE_HOST: '10.0.0.9',
      QUORATE_SERVICE_PORT_OTLP: '4318',
      QUORATE_PORT: 'tcp://10.0.0.9:4318',
      QUORATE_PORT_4318_TCP_ADDR: '10.0.0.9',
      QUORATE_PEERS_SERVICE_HOST: '10.0.0.8',
    };
    expect(config({ flags: complete, environment }).id).toBe('n1');
  });

  it('nearest is by edits', () => {
    expect(nearestName('clutser', ['cluster', 'config'])).toBe('cluster');
    expect(nearestName('zzz', ['cluster', 'config'])).toBeUndefined();
  });
});

describe('what is legal but unwise is a warning', () => {
  it.each([
    ['n1=a:1', /survives no failure/],
    ['n1=a:1,n2=a:2', /2 members survive no more failures than 1/],
    ['n1=a:1,n2=a:2,n3=a:3,n4=a:4', /use 3 or 5/],
  ])('%s', (members, warning) => {
    const { warnings } = read({ flags: { ...complete, cluster: members } });
    expect(warnings).toEqual([expect.stringMatching(warning)]);
  });

  it('three and five are fine', () => {
    expect(read({ flags: complete }).warnings).toEqual([]);
  });
});

describe('settings of client commands', () => {
  it('take flags, then the environment, then defaults', () => {
    const settings = readClientSettings(['url', 'consistency'], {
      flags: { consistency: 'stale' },
      environment: { QUORATE_URL: 'http://n2:4318/' },
    });
    expect(settings).toEqual({ url: 'http://n2:4318', consistency: 'stale' });
  });

  it('refuse what is no HTTP address', () => {
    const reading = (url: string) => () => readClientSettings(['url'], { flags: { url }, environment: {} });
    expect(reading('n1:4318')).toThrow('--url: "n1:4318" is not an HTTP address, for example http://127.0.0.1:4318');
    expect(reading('ftp://n1')).toThrow('is not an HTTP address');
  });

  it('refuse flags of other commands', () => {
    expect(() => readClientSettings(['url'], { flags: { format: 'json' }, environment: {} })).toThrow(
      '--format is not a setting; known are --url',
    );
  });
});
