variable "name" {
  description = "Prefix of all names."
  type        = string
}

variable "role_prefix" {
  description = "Prefix of the roles' names. Roles are global: it differs between regions."
  type        = string
}

variable "region" {
  description = "Where the edges and their log are."
  type        = string
}

variable "vpc_id" {
  description = "The VPC."
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
  description = "Sizes, times, scaling: `edge` of infra/data/services.json."
  type        = any
}

variable "environment" {
  description = "Environment variables (docs/CONFIGURATION.md), but for the certificate's."
  type        = map(string)
}

variable "tls_secret_arn" {
  description = "Secret with the JSON fields `certificate` and `private_key`, PEM."
  type        = string
}

variable "assume_policy" {
  description = "Who may take the roles, JSON."
  type        = string
}

variable "task_policy" {
  description = "What the edge may do, JSON."
  type        = string
}

variable "execution_policy" {
  description = "What ECS may do to start it, JSON."
  type        = string
}

variable "balancer_subnet_ids" {
  description = "Public subnets."
  type        = list(string)
}

variable "balancer_security_group_id" {
  description = "The load balancer's security group."
  type        = string
}

variable "task_subnet_ids" {
  description = "Where the edges run."
  type        = list(string)
}

variable "security_group_id" {
  description = "The edges' security group."
  type        = string
}

variable "assign_public_ip" {
  description = "Whether an edge has a public address: only where it reaches AWS over the internet."
  type        = bool
}

variable "accelerator" {
  description = "Whether there is a Global Accelerator in front."
  type        = bool
}

variable "accelerator_endpoints" {
  description = "Load balancers of other regions behind the same accelerator: region to ARN."
  type        = map(string)
}

variable "protect" {
  description = "Whether the load balancer is protected from deletion."
  type        = bool
}

variable "log_retention_days" {
  description = "How long its log is kept, days."
  type        = number
}
