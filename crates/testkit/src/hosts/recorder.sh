#!/bin/sh
# Stands for a program that would change the machine: package managers, systemctl, reboot. Writes down how it was called,
# and does what /etc/recorder/NAME says, if that is there.
name=${0##*/}
echo "$name $*" >>/var/log/recorded
if [ -e "/etc/recorder/$name" ]; then . "/etc/recorder/$name"; fi
case " $name $* " in
*" reboot "* | *" shutdown "*"-r "* | *" systemctl "*"kexec "*)
    kill -TERM 1 || exit 1
    ;;
esac
exit 0
