variable "function" {
  description = "The function's name."
  type        = string
}

variable "role" {
  description = "Its role's name."
  type        = string
}

variable "zip" {
  description = "Path of the function's zip file (`make lambda`)."
  type        = string
}

variable "size" {
  description = "Memory, times, tries, pattern of the lines: `events` of infra/data/services.json."
  type        = any
}

variable "bus_arn" {
  description = "The event bus."
  type        = string
}

variable "stack" {
  description = "The stack's name, which is in every event."
  type        = string
}

variable "account" {
  description = "Whose logs may invoke it."
  type        = string
}

variable "log_groups" {
  description = "Name and ARN of the services' log groups, by service."
  type        = map(object({ name = string, arn = string }))
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

variable "log_retention_days" {
  description = "How long its own log is kept, days."
  type        = number
}
