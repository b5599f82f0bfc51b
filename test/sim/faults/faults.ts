/** Everything that goes wrong in a run by chance: a row for each fault, with how often it is drawn and what it does. */
import { anyNode, onLeader, type Fault } from './context.ts';
import { crash, crashAtEffect, cleanStop, pause } from './process.ts';
import { isolate, split, cutOneWay, cutAround, badNetwork, garble } from './network.ts';
import { stall, stallOrSlowDown, failWrites, fillDisk, failIndex } from './disk.ts';
import {
  damageLog,
  damageOldEntry,
  damageHardState,
  damageIndex,
  loseLog,
  loseHardState,
  rollHardStateBack,
  replaceDisk,
} from './damage.ts';
import { addMember, removeMember, replaceMember } from './members.ts';
import { jumpClock, driftClock } from './clock.ts';
import { transferLead } from './leadership.ts';

export const faults: readonly Fault[] = [
  { name: 'process crash', weight: 8, bring: (f) => crash(f, anyNode(f), 'process') },
  { name: 'power loss', weight: 8, bring: (f) => crash(f, anyNode(f), 'power') },
  { name: 'power loss everywhere', weight: 2, bring: (f) => f.nodes.forEach((node) => crash(f, node, 'power')) },
  { name: 'leader crash', weight: 6, bring: (f) => onLeader(f, (node) => crash(f, node, 'process')) },
  { name: 'crash at an effect', weight: 12, bring: (f) => crashAtEffect(f, anyNode(f)) },
  { name: 'leader crash at an effect', weight: 8, bring: (f) => onLeader(f, (node) => crashAtEffect(f, node)) },
  { name: 'clean stop', weight: 5, bring: cleanStop },
  { name: 'leadership transfer', weight: 8, bring: transferLead },
  { name: 'pause', weight: 8, bring: (f) => pause(f, anyNode(f)) },
  { name: 'leader pause', weight: 6, bring: (f) => onLeader(f, (node) => pause(f, node)) },
  { name: 'isolation', weight: 7, bring: (f) => isolate(f, anyNode(f)) },
  { name: 'leader isolation', weight: 6, bring: (f) => onLeader(f, (node) => isolate(f, node)) },
  { name: 'split', weight: 6, bring: split },
  { name: 'one-way cut', weight: 7, bring: cutOneWay },
  { name: 'deaf node', weight: 3, bring: (f) => cutAround(f, 'deaf', 'all', 'in') },
  { name: 'mute node', weight: 3, bring: (f) => cutAround(f, 'mute', 'all', 'out') },
  { name: 'bulk cut', weight: 5, bring: (f) => cutAround(f, 'no bulk from', 'bulk', 'out') },
  { name: 'control cut', weight: 2, bring: (f) => cutAround(f, 'no control from', 'control', 'out') },
  { name: 'large messages cut', weight: 3, bring: (f) => cutAround(f, 'nothing large from', 'large', 'out') },
  { name: 'bad network', weight: 8, bring: badNetwork },
  { name: 'garbled bytes', weight: 5, bring: garble },
  { name: 'disk stall', weight: 5, bring: stallOrSlowDown },
  { name: 'disk hangs', weight: 2, bring: (f) => stall(f, anyNode(f), Infinity) },
  { name: 'write error', weight: 4, bring: failWrites },
  { name: 'full disk', weight: 5, bring: fillDisk },
  { name: 'index not writable', weight: 3, bring: failIndex },
  { name: 'damaged log', weight: 7, bring: damageLog },
  { name: 'old entry damaged', weight: 8, bring: damageOldEntry },
  { name: 'damaged hard state', weight: 3, bring: damageHardState },
  { name: 'damaged index', weight: 6, bring: damageIndex },
  { name: 'clock jump', weight: 3, bring: jumpClock },
  { name: 'clock drift', weight: 2, bring: driftClock },
  { name: 'log lost', weight: 2, bring: loseLog },
  { name: 'hard state lost', weight: 1, bring: loseHardState },
  { name: 'hard state rolled back', weight: 1, bring: rollHardStateBack },
  { name: 'disk replaced', weight: 2, bring: replaceDisk },
  { name: 'member added', weight: 5, bring: addMember },
  { name: 'member replaced', weight: 4, bring: replaceMember },
  { name: 'member removed', weight: 4, bring: removeMember },
];
