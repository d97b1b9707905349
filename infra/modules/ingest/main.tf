# Where broadcasters come in: a network load balancer on TCP 443, which passes TLS on unread, and the edges behind it on Fargate.

resource "aws_lb" "this" {
  name                             = "${var.name}-ingest"
  load_balancer_type               = "network"
  internal                         = false
  subnets                          = var.balancer_subnet_ids
  security_groups                  = [var.balancer_security_group_id]
  enable_cross_zone_load_balancing = true
  enable_deletion_protection       = var.protect
}

resource "aws_lb_target_group" "edge" {
  name                 = "${var.name}-edge"
  target_type          = "ip"
  protocol             = "TCP"
  port                 = var.size.port
  vpc_id               = var.vpc_id
  deregistration_delay = var.size.deregistration_delay
  # The edge limits connections by the broadcaster's own address.
  preserve_client_ip = true

  health_check {
    protocol            = "TCP"
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "rtmps" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "TCP"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.edge.arn
  }
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/${var.name}/edge"
  retention_in_days = var.log_retention_days
}

resource "aws_iam_role" "execution" {
  name               = "${var.role_prefix}-edge-execution"
  assume_role_policy = var.assume_policy
}

resource "aws_iam_role_policy" "execution" {
  name   = "execution"
  role   = aws_iam_role.execution.id
  policy = var.execution_policy
}

resource "aws_iam_role" "task" {
  name               = "${var.role_prefix}-edge"
  assume_role_policy = var.assume_policy
}

resource "aws_iam_role_policy" "task" {
  name   = "edge"
  role   = aws_iam_role.task.id
  policy = var.task_policy
}

locals {
  # The image's entry point writes the certificate and the key from the secret here, for the edge reads files.
  tls = "/run/gopcast"

  container = {
    name                   = "edge"
    image                  = var.image
    essential              = true
    user                   = var.size.user
    readonlyRootFilesystem = true
    stopTimeout            = var.size.stop_timeout
    portMappings           = [{ containerPort = var.size.port, hostPort = var.size.port, protocol = "tcp" }]
    # Lets a process that is not root listen on 443.
    systemControls  = [{ namespace = "net.ipv4.ip_unprivileged_port_start", value = tostring(var.size.port) }]
    linuxParameters = { initProcessEnabled = true }
    environment = [
      for key, value in merge(var.environment, {
        GOPCAST_TLS_CERT = "${local.tls}/certificate.pem"
        GOPCAST_TLS_KEY  = "${local.tls}/key.pem"
      }) : { name = key, value = value }
    ]
    secrets = [
      { name = "GOPCAST_TLS_CERT_PEM", valueFrom = "${var.tls_secret_arn}:certificate::" },
      { name = "GOPCAST_TLS_KEY_PEM", valueFrom = "${var.tls_secret_arn}:private_key::" },
    ]
    mountPoints = [{ sourceVolume = "tls", containerPath = local.tls, readOnly = false }]
    healthCheck = { command = var.size.health, interval = 10, timeout = 5, retries = 3, startPeriod = var.size.health_start }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.this.name
        "awslogs-region"        = var.region
        "awslogs-stream-prefix" = "edge"
      }
    }
    volumesFrom = []
  }
}

resource "aws_ecs_task_definition" "this" {
  family                   = "${var.name}-edge"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.size.cpu
  memory                   = var.size.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  container_definitions    = jsonencode([local.container])

  volume {
    name = "tls"
  }

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.size.architecture
  }
}

# Not on Spot: an edge that goes away costs its broadcasters a reconnect.
resource "aws_ecs_service" "this" {
  name                               = "edge"
  cluster                            = var.cluster_arn
  task_definition                    = aws_ecs_task_definition.this.arn
  desired_count                      = var.size.scale.min
  launch_type                        = "FARGATE"
  platform_version                   = "LATEST"
  propagate_tags                     = "SERVICE"
  enable_ecs_managed_tags            = true
  availability_zone_rebalancing      = "DISABLED"
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 30

  network_configuration {
    subnets          = var.task_subnet_ids
    security_groups  = [var.security_group_id]
    assign_public_ip = var.assign_public_ip
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.edge.arn
    container_name   = "edge"
    container_port   = var.size.port
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  lifecycle {
    # Auto scaling has the say.
    ignore_changes = [desired_count]
  }

  depends_on = [aws_lb_listener.rtmps, aws_iam_role_policy.task, aws_iam_role_policy.execution]
}

resource "aws_appautoscaling_target" "this" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${var.cluster_name}/${aws_ecs_service.this.name}"
  min_capacity       = var.size.scale.min
  max_capacity       = var.size.scale.max
}

resource "aws_appautoscaling_policy" "load" {
  name               = "${var.name}-edge-load"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.size.scale.cpu_percent
    scale_out_cooldown = var.size.scale.out_cooldown
    scale_in_cooldown  = var.size.scale.in_cooldown
    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}

# Broadcasters enter AWS's network at the nearest POP, and their name leads to the region that is near and well.
resource "aws_globalaccelerator_accelerator" "this" {
  count           = var.accelerator ? 1 : 0
  name            = "${var.name}-ingest"
  ip_address_type = "IPV4"
  enabled         = true
}

resource "aws_globalaccelerator_listener" "rtmps" {
  count           = var.accelerator ? 1 : 0
  accelerator_arn = aws_globalaccelerator_accelerator.this[0].id
  protocol        = "TCP"

  port_range {
    from_port = 443
    to_port   = 443
  }
}

resource "aws_globalaccelerator_endpoint_group" "region" {
  for_each                      = var.accelerator ? merge({ (var.region) = aws_lb.this.arn }, var.accelerator_endpoints) : {}
  listener_arn                  = aws_globalaccelerator_listener.rtmps[0].id
  endpoint_group_region         = each.key
  health_check_protocol         = "TCP"
  health_check_port             = 443
  health_check_interval_seconds = 10

  endpoint_configuration {
    endpoint_id                    = each.value
    weight                         = 128
    client_ip_preservation_enabled = true
  }
}
