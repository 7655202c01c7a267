local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local function is(type)
  return conditions[type] ~= nil and conditions[type].status == "True"
end
local function health(word, type)
  return {status = word, message = conditions[type].message}
end

-- What the operator says is about the spec that it has seen.
if status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "the operator has not looked at this spec yet"}
end
if is("Stalled") then
  return health("Degraded", "Stalled")
end
if is("Paused") then
  return health("Suspended", "Paused")
end
if is("Reconciling") then
  -- A person is waited for, not the cluster.
  if conditions.Reconciling.reason == "WaitingForApproval" then
    return health("Suspended", "Reconciling")
  end
  return health("Progressing", "Reconciling")
end
if is("Ready") then
  return health("Healthy", "Ready")
end
return health("Degraded", "Ready")
