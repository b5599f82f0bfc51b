/** The 41 situations that etcd's Raft library scripts, by their files' names: our checklist, see scenarios/README.md. */
const scripted = [
  'single_node',
  'campaign',
  'campaign_learner_must_vote',
  'prevote',
  'prevote_checkquorum',
  'checkquorum',
  'forget_leader',
  'forget_leader_prevote_checkquorum',
  'forget_leader_read_only_lease_based',
  'lagging_commit',
  'probe_and_replicate',
  'replicate_pause',
  'heartbeat_resp_recovers_from_probing',
  'slow_follower_after_compaction',
  'snapshot_succeed_via_app_resp',
  'snapshot_succeed_via_app_resp_behind',
  'async_storage_writes',
  'async_storage_writes_append_aba_race',
  'confchange_v1_add_single',
  'confchange_v1_remove_leader',
  'confchange_v1_remove_leader_stepdown',
  'confchange_v2_add_single_auto',
  'confchange_v2_add_single_explicit',
  'confchange_v2_add_double_implicit',
  'confchange_v2_add_double_auto',
  'confchange_v2_replace_leader',
  'confchange_v2_replace_leader_stepdown',
  'confchange_disable_validation',
];

const configurationChanges = [
  'joint_autoleave',
  'joint_idempotency',
  'joint_learners_next',
  'joint_safety',
  'simple_idempotency',
  'simple_promote_demote',
  'simple_safety',
  'update',
  'zero',
];

const quorums = ['majority_commit', 'majority_vote', 'joint_commit', 'joint_vote'];

export const etcdSituations: readonly string[] = [
  ...scripted,
  ...configurationChanges.map((name) => `confchange/${name}`),
  ...quorums.map((name) => `quorum/${name}`),
];
