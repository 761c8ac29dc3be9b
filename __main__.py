"""Where Pulumi starts. It lies here because Pulumi's processes have the folder of the program as their working folder: in
`infra`, the folder `azure` would hide Azure's own package from the dynamic providers (decision 0103).
"""

from infra.entry import main

main()
