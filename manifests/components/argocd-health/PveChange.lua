local status = obj.status or {}
if status.outcome == "Succeeded" or status.outcome == "Superseded" then
  return {status = "Healthy", message = status.message}
end
if status.outcome ~= nil then
  return {status = "Degraded", message = status.message}
end
if (status.releasedStage or 0) == 0 then
  return {status = "Suspended", message = "not begun"}
end
return {status = "Progressing", message = "stage " .. status.stage}
