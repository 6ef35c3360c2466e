//! Who may do what.

use fleet::{
    AcceptHostKey, AddHost, DeleteCluster, DeleteContainerManager, DeleteHost, DeleteNetwork, JoinCluster,
    LabelHost, LeaveCluster, PutContainerManager, PutNetwork, ReadClusters, ReadContainerManagers,
    ReadCredentials, ReadHosts, ReadNetworks, ReadSecretOptions, RegisterHost, ReplaceMembers,
    StartOperation, SteerOperation, WriteCluster,
};
use identity::{Action, Permit, Principal, Role};

fn check<A: Action>(granted: [bool; 4]) {
    use Role::{Administrator, Operator, Reader, Registrar};
    for (role, granted) in [Registrar, Reader, Operator, Administrator].into_iter().zip(granted) {
        let permit = Permit::<A>::grant(Principal::pretended("somebody", role, None));
        assert_eq!(permit.is_ok(), granted, "{role:?} may {}", A::NAME);
    }
}

#[test]
fn everybody_may_do_what_is_theirs() {
    check::<RegisterHost>([true, false, true, true]);
    check::<ReadHosts>([false, true, true, true]);
    check::<ReadClusters>([false, true, true, true]);
    check::<ReadNetworks>([false, true, true, true]);
    check::<ReadContainerManagers>([false, true, true, true]);
    let operators = [false, false, true, true];
    check::<ReadCredentials>(operators);
    check::<ReadSecretOptions>(operators);
    check::<AddHost>(operators);
    check::<LabelHost>(operators);
    check::<AcceptHostKey>(operators);
    check::<DeleteHost>(operators);
    check::<WriteCluster>(operators);
    check::<DeleteCluster>(operators);
    check::<JoinCluster>(operators);
    check::<LeaveCluster>(operators);
    check::<ReplaceMembers>(operators);
    check::<StartOperation>(operators);
    check::<SteerOperation>(operators);
    check::<PutNetwork>(operators);
    check::<DeleteNetwork>(operators);
    check::<PutContainerManager>(operators);
    check::<DeleteContainerManager>(operators);
}
