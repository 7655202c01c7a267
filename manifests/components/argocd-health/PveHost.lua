local conditions = {}
for _, condition in ipairs((obj.status or {}).conditions or {}) do
  conditions[condition.type] = condition
end
-- A machine that a person declared off is as it is known to be.
local absence = (obj.spec or {}).absence
if absence ~= nil then
  return {status = "Suspended", message = absence.kind .. ": " .. absence.because}
end
for _, type in ipairs({"Connected", "Ready"}) do
  local condition = conditions[type]
  if condition == nil then
    return {status = "Progressing", message = "nobody has heard its agent yet"}
  end
  if condition.status ~= "True" then
    return {status = "Degraded", message = condition.message}
  end
end
return {status = "Healthy", message = conditions.Ready.message}
