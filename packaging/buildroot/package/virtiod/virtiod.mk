################################################################################
#
# virtiod
#
################################################################################
# SPDX-License-Identifier: Apache-2.0

# This very tree.
VIRTIOD_SITE = $(BR2_EXTERNAL_VIRTIOD_PATH)/../..
VIRTIOD_SITE_METHOD = local
VIRTIOD_LICENSE = Apache-2.0
VIRTIOD_LICENSE_FILES = LICENSE
VIRTIOD_DEPENDENCIES = host-pkgconf host-python3 libevdev libglib2 liburing
VIRTIOD_CONF_OPTS = -Dtests=disabled -Dusdt=disabled

ifeq ($(BR2_PACKAGE_VIRTIOD_KVM),y)
VIRTIOD_CONF_OPTS += -Dkvm=enabled
ifeq ($(BR2_aarch64),y)
VIRTIOD_DEPENDENCIES += dtc
endif
else
VIRTIOD_CONF_OPTS += -Dkvm=disabled
endif

ifeq ($(BR2_PACKAGE_VIRTIOD_METRICS),y)
VIRTIOD_CONF_OPTS += -Dmetrics=enabled
VIRTIOD_DEPENDENCIES += libmicrohttpd
else
VIRTIOD_CONF_OPTS += -Dmetrics=disabled
endif

ifeq ($(BR2_PACKAGE_VIRTIOD_XEN),y)
VIRTIOD_CONF_OPTS += -Dxen=enabled
VIRTIOD_DEPENDENCIES += xen
else
VIRTIOD_CONF_OPTS += -Dxen=disabled
endif

# Whom services run as.
define VIRTIOD_USERS
	virtiod -1 virtiod -1 * - - - virtio devices
endef

$(eval $(meson-package))
