variable "name" {
  description = "Prefix of all names."
  type        = string
}

variable "region" {
  description = "Where its log is."
  type        = string
}

variable "cluster_arn" {
  description = "The ECS cluster."
  type        = string
}

variable "cluster_name" {
  description = "The ECS cluster's name."
  type        = string
}

variable "image" {
  description = "The image, with its tag."
  type        = string
}

variable "size" {
  description = "Sizes, times, scaling: `encoder` of infra/data/services.json."
  type        = any
}

variable "environment" {
  description = "Environment variables (docs/CONFIGURATION.md)."
  type        = map(string)
}

variable "hop_secret_arn" {
  description = "The secret that the private hop is signed with."
  type        = string
}

variable "assume_policy" {
  description = "Who may take the roles, JSON."
  type        = string
}

variable "task_policy" {
  description = "What the encoder may do, JSON."
  type        = string
}

variable "execution_policy" {
  description = "What ECS may do to start it, JSON."
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
