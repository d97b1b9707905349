variable "table" {
  description = "The table's name."
  type        = string
}

variable "rules" {
  description = "Keys, TTL, recovery: infra/data/table.json."
  type        = any
}

variable "protect" {
  description = "Whether the table is protected from deletion."
  type        = bool
}
