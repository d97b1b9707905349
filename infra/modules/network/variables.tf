variable "name" {
  description = "Prefix of all names."
  type        = string
}

variable "network" {
  description = "The VPC's sizes and endpoints: infra/data/network.json."
  type        = any
}

variable "security" {
  description = "Security groups and their rules: infra/data/security.json."
  type        = any
}

variable "endpoint_policies" {
  description = "Policy, JSON, of each gateway endpoint."
  type        = map(string)
}
