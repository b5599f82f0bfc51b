/** V8's CPU profile of one thread, as a tree of calls and as time by function. Times in us; idle time is left out. */

/** As the inspector's `Profiler.stop` gives it: a sample is the id of the node that ran for the time in front of it. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: {
    readonly functionName: string;
    readonly url: string;
    /** From 0. */
    readonly lineNumber: number;
  };
  readonly children?: readonly number[];
}

export interface Frame {
  readonly name: string;
  /** Of the function itself, without those it calls. */
  selfUs: number;
  /** With them. `totalUs = selfUs + sum of the children's`. */
  totalUs: number;
  readonly children: Map<string, Frame>;
}

const idle = new Set(['(idle)', '(root)']);

/** Calls from the root on; frames of one name under one caller are one frame. */
export function callTree(profile: CpuProfile, root: string): Frame {
  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  const self = new Map<number, number>();
  for (const [n, id] of profile.samples.entries()) self.set(id, (self.get(id) ?? 0) + (profile.timeDeltas[n] ?? 0));
  const visit = (node: ProfileNode, into: Frame): number => {
    const selfUs = idle.has(node.callFrame.functionName) ? 0 : (self.get(node.id) ?? 0);
    into.selfUs += selfUs;
    let totalUs = selfUs;
    for (const id of node.children ?? []) {
      const child = byId.get(id);
      if (child === undefined) continue;
      const name = nameOf(child, root);
      let frame = into.children.get(name);
      if (frame === undefined) into.children.set(name, (frame = newFrame(name)));
      totalUs += visit(child, frame);
    }
    into.totalUs += totalUs;
    return totalUs;
  };
  const all = newFrame('all');
  const [first] = profile.nodes;
  if (first !== undefined) visit(first, all);
  return all;
}

/** Self time of each function, whoever called it, the most first. */
export function selfTimes(tree: Frame): [name: string, selfUs: number][] {
  const times = new Map<string, number>();
  const visit = (frame: Frame): void => {
    if (frame.selfUs > 0) times.set(frame.name, (times.get(frame.name) ?? 0) + frame.selfUs);
    for (const child of frame.children.values()) visit(child);
  };
  visit(tree);
  return [...times].toSorted((a, b) => b[1] - a[1]);
}

const newFrame = (name: string): Frame => ({ name, selfUs: 0, totalUs: 0, children: new Map() });

/** `function file:line`, the file as seen from `root`, an absolute folder. */
function nameOf({ callFrame: { functionName, url, lineNumber } }: ProfileNode, root: string): string {
  const name = functionName === '' ? '(anonymous)' : functionName;
  if (url === '') return name;
  return `${name} ${url.replace(`file://${root}/`, '')}:${lineNumber + 1}`;
}
