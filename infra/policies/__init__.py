"""What holds for every resource at every deployment, whoever changes the program: a policy pack for `pulumi up --policy-pack`."""
