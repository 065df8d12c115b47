// See context.h: included by libtorch's header, of which it names nothing.
#pragma once
