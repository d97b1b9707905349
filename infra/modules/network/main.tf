# The VPC: private subnets without a way out but the endpoints, public subnets for the load balancer, and every security group with its rules.

data "aws_availability_zones" "here" {
  state = "available"
}

locals {
  zones  = slice(data.aws_availability_zones.here.names, 0, var.network.zones)
  region = data.aws_region.here.name
  groups = var.security.groups

  # One entry a rule: "edge egress 443 s3" => what it says.
  rules = merge([
    for name, group in local.groups : merge([
      for direction in ["ingress", "egress"] : {
        for rule in group[direction] : "${name} ${direction} ${rule.port} ${rule.peer}" => merge(rule, { group = name, direction = direction })
      }
    ]...)
  ]...)
}

data "aws_region" "here" {}

resource "aws_vpc" "this" {
  cidr_block           = var.network.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = var.name }
}

# Without rules: nothing is to be in it.
resource "aws_default_security_group" "unused" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${var.name}-default-unused" }
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = var.name }
}

resource "aws_subnet" "public" {
  for_each                = { for i, zone in local.zones : zone => i }
  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = cidrsubnet(var.network.cidr, var.network.public.newbits, var.network.public.first + each.value)
  map_public_ip_on_launch = false
  tags                    = { Name = "${var.name}-public-${each.key}" }
}

resource "aws_subnet" "private" {
  for_each          = { for i, zone in local.zones : zone => i }
  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.network.cidr, var.network.private.newbits, var.network.private.first + each.value)
  tags              = { Name = "${var.name}-private-${each.key}" }
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${var.name}-public" }
}

resource "aws_route" "out" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route_table_association" "public" {
  for_each       = aws_subnet.public
  subnet_id      = each.value.id
  route_table_id = aws_route_table.public.id
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${var.name}-private" }
}

resource "aws_route_table_association" "private" {
  for_each       = aws_subnet.private
  subnet_id      = each.value.id
  route_table_id = aws_route_table.private.id
}

resource "aws_vpc_endpoint" "gateway" {
  for_each          = toset(var.network.gateway_endpoints)
  vpc_id            = aws_vpc.this.id
  vpc_endpoint_type = "Gateway"
  service_name      = "com.amazonaws.${local.region}.${each.key}"
  route_table_ids   = [aws_route_table.private.id]
  policy            = var.endpoint_policies[each.key]
  tags              = { Name = "${var.name}-${each.key}" }
}

resource "aws_vpc_endpoint" "interface" {
  for_each            = toset(var.network.interface_endpoints)
  vpc_id              = aws_vpc.this.id
  vpc_endpoint_type   = "Interface"
  service_name        = "com.amazonaws.${local.region}.${each.key}"
  subnet_ids          = [for subnet in aws_subnet.private : subnet.id]
  security_group_ids  = [aws_security_group.this["endpoints"].id]
  private_dns_enabled = true
  tags                = { Name = "${var.name}-${each.key}" }
}

resource "aws_security_group" "this" {
  for_each    = local.groups
  name        = "${var.name}-${each.key}"
  description = each.value.about
  vpc_id      = aws_vpc.this.id
  tags        = { Name = "${var.name}-${each.key}" }
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  for_each                     = { for key, rule in local.rules : key => rule if rule.direction == "ingress" }
  security_group_id            = aws_security_group.this[each.value.group].id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  cidr_ipv4                    = each.value.peer == "internet" ? "0.0.0.0/0" : null
  referenced_security_group_id = contains(keys(local.groups), each.value.peer) ? aws_security_group.this[each.value.peer].id : null
  description                  = each.value.why
  tags                         = { Name = each.key }
}

resource "aws_vpc_security_group_egress_rule" "this" {
  for_each                     = { for key, rule in local.rules : key => rule if rule.direction == "egress" }
  security_group_id            = aws_security_group.this[each.value.group].id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  cidr_ipv4                    = each.value.peer == "internet" ? "0.0.0.0/0" : null
  referenced_security_group_id = contains(keys(local.groups), each.value.peer) ? aws_security_group.this[each.value.peer].id : null
  prefix_list_id               = contains(var.network.gateway_endpoints, each.value.peer) ? aws_vpc_endpoint.gateway[each.value.peer].prefix_list_id : null
  description                  = each.value.why
  tags                         = { Name = each.key }
}
