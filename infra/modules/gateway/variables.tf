variable "function" {
  description = "The function's name."
  type        = string
}

variable "zip" {
  description = "Path of the function's zip file (`make lambda`)."
  type        = string
}

variable "size" {
  description = "Memory, times, concurrency, schedule: `gateway` of infra/data/services.json."
  type        = any
}

variable "table" {
  description = "The table's name."
  type        = string
}

variable "hop_secret" {
  description = "What the private hop is signed with."
  type        = string
  sensitive   = true
}

variable "log" {
  description = "Log filter (`GOPCAST_LOG`)."
  type        = string
}

variable "assume_policy" {
  description = "Who may take the role, JSON."
  type        = string
}

variable "policy" {
  description = "What the role may do, JSON."
  type        = string
}

variable "subnet_ids" {
  description = "Where it runs."
  type        = list(string)
}

variable "security_group_id" {
  description = "Its security group."
  type        = string
}

variable "log_retention_days" {
  description = "How long its log is kept, days."
  type        = number
}

variable "metrics_namespace" {
  description = "CloudWatch's namespace of the metrics in its log."
  type        = string
}
