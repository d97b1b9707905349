variable "name" {
  description = "Prefix of all names; the dashboard's name."
  type        = string
}

variable "region" {
  description = "Where the metrics are."
  type        = string
}

variable "watched" {
  description = "Counters, alarms, graphs: infra/data/observability.json."
  type        = any
}

variable "log_groups" {
  description = "Log groups of `edge`, `gateway` and `encoder`."
  type        = map(string)
}

variable "dimensions" {
  description = "What the `of` of AWS's own metrics stands for: dimensions, by name."
  type        = map(map(string))
}

variable "alarm_topics" {
  description = "ARNs that are told when an alarm rings and when it stops."
  type        = list(string)
}

variable "cdn_alarm_topics" {
  description = "The same for the CDN's alarms; in us-east-1."
  type        = list(string)
}
