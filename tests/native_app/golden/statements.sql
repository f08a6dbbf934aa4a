-- snow app deploy
create application package github_connector_pkg comment = generated_by_snowflakecli distribution = internal
create schema if not exists app_src
create stage if not exists stage encryption = (type = 'snowflake_sse') directory = (enable = true)
put each file to @github_connector_pkg.app_src.stage
put each file to @github_connector_pkg.app_src.stage/page/.streamlit
put each file to @github_connector_pkg.app_src.stage/page
put each file to @github_connector_pkg.app_src.stage/procedures
put each file to @github_connector_pkg.app_src.stage
call system$validate_native_app_setup('@github_connector_pkg.app_src.stage')

-- snow app version create --skip-git-check --force
call system$validate_native_app_setup('@github_connector_pkg.app_src.stage')
alter application package github_connector_pkg add version v0_1_0 using @github_connector_pkg.app_src.stage label='0.1.0'

-- snow app run --version V0_1_0
create application github_connector from application package github_connector_pkg using version v0_1_0 comment = generated_by_snowflakecli

-- snow app run --version V0_1_0
alter application github_connector upgrade using version v0_1_0
alter application github_connector set debug_mode = false

-- snow app teardown --force --cascade
drop application github_connector cascade
drop application package github_connector_pkg

-- app deploy
create application package if not exists github_connector_pkg comment = 'made by snowfeed' distribution = internal enable_release_channels = true
create schema if not exists github_connector_pkg.app_src
create stage if not exists github_connector_pkg.app_src.stage encryption = (type = 'snowflake_sse') directory = (enable = true)
put each file to @github_connector_pkg.app_src.stage
put each file to @github_connector_pkg.app_src.stage/page/.streamlit
put each file to @github_connector_pkg.app_src.stage/page
put each file to @github_connector_pkg.app_src.stage/procedures
put each file to @github_connector_pkg.app_src.stage
call system$validate_native_app_setup('@github_connector_pkg.app_src.stage')
alter application package github_connector_pkg register version v0_1_0 using '@github_connector_pkg.app_src.stage' label = '0.1.0+<digest>'

-- app install
create database if not exists github_connector_setup comment = 'made by snowfeed'
create or alter network rule github_connector_setup.public.github_connector_hosts type = host_port value_list = ('api.github.com') mode = egress comment = 'made by snowfeed'
create external access integration github_connector_access allowed_network_rules = (github_connector_setup.public.github_connector_hosts) allowed_authentication_secrets = none enabled = true comment = 'made by snowfeed'
create application github_connector from application package github_connector_pkg using version v0_1_0 patch 0 comment = 'made by snowfeed'
call github_connector.public.register_reference('github_external_access', 'add', system$reference('external_access_integration', 'github_connector_access', 'persistent', 'usage'))

-- app upgrade


-- app uninstall --cascade --with-package
drop application if exists github_connector cascade
drop application package if exists github_connector_pkg

