"""Words that log messages are made of, as opposed to the names they are about.

Two messages that differ in words of this list say different things (opened, closed); where other words
differ, these are likely names. English, and what programs write as if it were. It decides how early
messages are seen to be alike, not whether: without any known word it takes a third name.
"""

from __future__ import annotations

_DATES = """
Jan Feb Mar Apr May Jun Jul Aug Sep Sept Oct Nov Dec January February March April June July August September
October November December Mon Tue Tues Wed Thu Thur Thurs Fri Sat Sun Monday Tuesday Wednesday Thursday
Friday Saturday Sunday AM PM am pm UTC GMT EST EDT CST CDT MST MDT PST PDT CET CEST BST MSK JST IST
"""
_KNOWN = """
a abandon abandoned abort aborted aborting about above absent accept accepted accepting accepts access
accessed accessible accessing account accounting accounts ack acked acknowledged acpi acquire acquired
acquiring across action actions activate activated activating activation active activity actual adapter add
added adding addition additional address addresses adds adjust adjusted adjusting advertise advertised
advertisement after against agent agents alarm alert alerts alias alive all allocate allocated allocating
allocation allocations allow allowed allowing allows along already also alternate always am among amount an
analysis analyzed and another answer any api app appear appended appending application applications applied
apply applying archive archived are area argument arguments around arp array arrived as ascii ask asked
asking assertion assign assigned assigning assignment associated association async asynchronous at ata
attach attached attaching attempt attempted attempting attempts attribute attributes audit auth authenticate
authenticated authenticating authentication authenticator authority authorization authorized auto automatic
automatically availability available avoid await awaiting aware back backed backend background backing
backlog backoff backup bad balance balanced balancer balancing base based bash batch batches battery be
became because become been before begin beginning begins begun behind being belongs below best better
between beyond bind binding bios block blocked blocking blocklist blocks body boot booting both bound
boundary branch break bridge bring bringing broadcast broken broker brokers browser buffer buffered buffers
bug build building built bus busy but button by bypass byte bytes cache cached caches caching calculated
calculating call callback called caller calling calls can cancel canceled cancelled cancelling candidate
cannot capability capacity capture captured card carrier case catalog category caught cause caused causing
center certificate certificates chain change changed changes changing channel channels character check
checked checking checkpoint checkpoints checks checksum child children choose chosen chunk class classes
clean cleaned cleaner cleaning cleanup clear cleared clearing client clients clock clone close closed closes
closing cluster clusters code collect collected collecting collection collector column command commands
comment commit commited commits committed committing common communicate communication compact compacted
compacting compaction compare compared compatible complete completed completely completes completing
completion component components compress compressed compression compute computed computing condition
conditions config configuration configurations configure configured configuring confirm confirmed conflict
conflicts connect connected connecting connection connections connector connects consistency consistent
console constraint consume consumed consumer consumers consuming contact contacting contain container
containers contains content context continue continued continues continuing control controlled controller
convert converted converting coordinator copied copy copying core correct corrected corrupt corrupted
corruption cost could count counter country cpu crash crashed create created creates creating creation
credential credentials crit critical cron csv current currently cursor custom cycle daemon data database
databases datagram date day days dead deadlock debug decline declined decode decoding decommission
decommissioned decrease decreased decrypt default deferred define defined degraded delay delayed delegate
delete deleted deletes deleting deletion deliver delivered delivery demand denied deny dependencies
dependency deployed deployment deprecated depth describe description descriptor dest destination destroy
destroyed destroying detach detached detail details detect detected detecting detection device devices dhcp
dialog did died different digest dir direct direction directories directory dirty disable disabled disabling
disallowed discard discarded discarding disconnect disconnected disconnecting disconnection discover
discovered discovery disk disks dispatch dispatched dispatcher display distributed dns do document documents
does doing domain domains done door double down download downloaded downloading downloads drain drained
draining drive driver drivers drop dropped dropping drops dst due dump duplicate duplicated duration during
dynamic each earlier earliest early echo edge edit effect either elapsed elect elected election element
elements eligible else email emerg emergency empty enable enabled enables enabling encode encoded encoding
encountered encrypt encrypted encryption end ended ending endpoint endpoints ends engine engines enough
ensure enter entered entering entries entry environment epoch equal err error errors establish established
establishing estimated eth euid evaluate evaluated event events every evict evicted evicting eviction exact
exceed exceeded exceeding exceeds except exception exceptions exchange exclude excluded exclusive exec
executable execute executed executing execution executor executors exhausted exist existing exists exit
exited exiting exits expand expect expected expiration expire expired expires expiring explicit export
exported exporting expression extend extended extension extent external extra extract extracted fabric
facility fail failed failing failover fails failure failures fall fallback falling false fan fast fatal
fault faults feature features fetch fetched fetcher fetching few field fields file filed files filesystem
fill filled filter filtered filtering filters final finalize finalized finalizing finally find finding fine
finish finished finishes finishing fired firewall firmware first fixed flag flags flow flush flushed flushes
flushing folder follow followed follower followers following for force forced foreground foreign forget fork
format formatted formatting found frame frames free freed freeing frequency fresh from front ftp full fully
function functions further future garbage gateway general generate generated generating generation generic
get gets getting gid give given global go goes going gone good got grace graceful gracefully grant granted
graph greater group groups grow had half halt halted halting handle handled handler handlers handles
handling handshake hang happened hard hardware has hash have having he head header headers health healthy
heap heartbeat heartbeats held help her here hidden high higher highest his history hit hits hold holding
hook host hostname hosts hour hours how html http i icmp id ide identical identified identifier identity
idle if ignore ignored ignores ignoring illegal image images immediate immediately implementation import
imported importing in inaccessible inactive inbound include included includes including incoming
incompatible incomplete inconsistent incorrect increase increased increasing increment index indexed indexes
indexing indicates info information inheriting init initial initialised initialization initialize
initialized initializing initiate initiated initiating input insert inserted inserting insertion inside
install installation installed installing instance instances instead instruction insufficient integer
integrity interactive interface interfaces internal internet interrupt interrupted interval into invalid
invalidate invalidated invocation invoke invoked invoking io ipv irq is isolated issue issued issues it item
items iteration its job jobs join joined joining journal json jump just keep keepalive keeping kept kernel
key keyboard keys kill killed killing kind know known label labels lack lag language large larger last late
latency later latest launch launched launching layer layout lead leader leaders leadership leading leak
lease leases least leave leaves leaving left legacy len length less level levels library license lifecycle
like limit limited limits line lines link linked links list listed listen listener listeners listening
listens lists little live load loaded loader loading loads local locale locate located location lock locked
locking locks log logged logger logging logical login logins logoff logon logout logs long longer look
looking lookup loop loopback lost low lower mac machine machines mail main maintenance major make makes
making malformed manage managed management manager managers manual many map mapped mapper mapping mark
marked marker marking mask master match matched matches matching maximum may measure mechanism media medium
member members membership memory merge merged merges merging message messages metadata method methods metric
metrics micro middle might migrate migrated migrating migration minimum minor minute minutes mirror
misconfigured mismatch miss missed misses missing mode model modified modify module modules monitor
monitoring monitors more most mount mounted mounting mounts move moved moves moving much multicast multiple
must mutex my name named names namespace native near necessary need needed needs negative negotiate
negotiated negotiation neighbor neither network networks never new newer newest next nfs no nobody node
nodes non none nor normal normally not note nothing notice notification notifications notified notify
notifying now ntp null number numbers object objects obsolete obtain obtained obtaining occupied occurred
occurs of off offer offered offline offset offsets often old older oldest on once one only onto open opened
opening opens operate operating operation operational operations operator optimized option optional options
or order orphan orphaned other otherwise our out outbound outgoing output outside over overdue overflow
overload overloaded override overwrite own owned owner ownership pack package packages packet packets page
pages paging pair panic parallel parameter parameters parent parse parsed parser parsing part partial
partially participant partition partitions party pass passed passes passing password passwords past patch
path paths pattern pause paused pausing payload pci peer peers pending per percent perform performance
performed performing period periodic permanent permanently permission permissions permit permitted persist
persisted persistence persistent phase physical pid ping pipe pipeline place placed placement plan platform
please plugin plugins pod pods point pointer points policies policy poll polling pool pools port ports
position possible possibly post power preauth prec precision prefer preferred prefix prepare prepared
preparing present preserve press pressure prevent prevented previous previously primary print printer prior
priority private privilege privileged privileges probably probe probed probes problem problems procedure
proceed process processed processes processing processor produce produced producer producers product profile
program progress prohibited promise promote promoted promoting prompt properly properties property protect
protected protection proto protocol provide provided provider providers provision provisioned provisioning
proxy public publish published publisher publishing pull pulled pulling pulls purge purged purging push
pushed pushing put queries query queue queued queues quick quit quorum quota race raid raise raised random
range rate rather raw reach reachable reached reaches reaching read readable reader readers readiness
reading reads ready real really reason reassign reassigned reassignment rebalance rebalanced rebalancing
reboot rebooted rebooting rebuild rebuilding recall receive received receiver receives receiving recent
record recorded recorder recording records recover recoverable recovered recovering recovery recreate
recursive recycle redirect redirected reduce reduced reducer redundant refer reference references refresh
refreshed refreshing refuse refused refusing region regions register registered registering registers
registration registry regular reject rejected rejecting rejects related relation relay release released
releases releasing reload reloaded reloading remain remained remaining remains remote removal remove removed
removes removing rename renamed renew renewal renewed repair repaired repeat repeated repeatedly replace
replaced replacement replacing replica replicas replicate replicated replicating replication replied reply
report reported reporting reports repository represent request requested requester requesting requests
require required requires rescheduled reserve reserved reserving reset resets resetting resolution resolve
resolved resolver resolving resource resources respond responded responding response responses responsible
rest restart restarted restarting restarts restore restored restoring restrict restricted restriction result
resulting results resume resumed resuming resync retain retained retention retire retired retries retrieve
retrieved retrieving retry retrying return returned returning returns reuse reused reverse revert reverted
review revision revoke revoked rhost right ring role roles roll rollback rolled rolling rotate rotated
rotating rotation route routed router routes routine routing row rows rule rules run running runs runtime
ruser safe safely same sample sanity sata satisfied save saved saves saving say scale scaled scaling scan
scanned scanner scanning scans schedule scheduled scheduler scheduling schema scheme scope screen script
scripts scsi search searching second secondary seconds secret secrets section sector sectors secure security
see seek seems seen segment segments select selected selecting selection selector self send sender sending
sends sense sensor sent sequence sequences serial serialize series serve served server servers serves
service services serving session sessions set sets setting settings setup several severe shall shard shards
share shared she shell shift short should show shows shut shutdown shutting sid side sign signal signals
signature signed silent similar simple since single site size sizes skip skipped skipping slave sleep
sleeping slot slots slow slower small smaller smb smtp snapshot snapshots so socket sockets soft software
some soon source sources space spawn spawned special specific specified specify speed split spool sql src
ssh ssl stable stack stage stale stalled standard standby start started starter starting starts startup
state statement states static statistics stats status stay stderr stdin stdout step steps still stop stopped
stopping stops storage store stored stores storing strategy stream streaming streams strict string strong
structure stuck style subject submission submit submitted submitting subnet subscribe subscribed subscriber
subscription subsystem succeed succeeded succeeding succeeds success successful successfully such sudden
suffix suggest summary supply support supported supports suppressed suspect suspend suspended suspending
swap swapped switch switched switches switching symbol sync synced synchronization synchronize synchronized
synchronizing syncing syntax synthesizing system systems table tables tag tags tail take taken takeover
takes taking target targets task tasks tcp telemetry tell temperature template temporarily temporary tenant
term terminal terminate terminated terminates terminating termination test tested testing text than that the
their then there these they third this those thread threads three threshold throttle throttled throttling
through throughput throw thrown ticket time timed timeout timeouts timer timers times timestamp tls to today
together toggle token tokens too took tool top topic topics topology tos total touch trace track tracked
tracker tracking traffic transaction transactions transfer transferred transferring transform transformed
transient transition transitioned transitioning translate translated translation transmission transmit
transmitted transmitting transport trap tree tried tries trigger triggered triggering triggers trip true
truncate truncated truncating trust trusted try trying ttl tty tunnel turn turned turning twice two type
types udp uid unable unassigned unauthorized unavailable unblocked uncaught unchanged unclean uncommitted
undefined under undo unexpected unexpectedly unhandled unhealthy unicast unique unit units unknown unless
unlink unload unloaded unlock unlocked unmount unmounted unmounting unnecessary unprocessed unpublish
unreachable unread unrecognized unrecoverable unregister unregistered unregistering unreliable unresolved
unresponsive unsafe unsigned unsubscribe unsuccessful unsupported until untrusted unused unusual unwanted up
update updated updater updates updating upgrade upgraded upgrading upload uploaded uploading upon upstream
uptime uri url usage usb use used useful user username users uses using usually utf utilization valid
validate validated validating validation validator value values variable various vector vendor verbose
verification verified verify verifying version versions very via victim video view violated violation
virtual visible volume volumes vote voted voter votes voting wait waited waiting waits wake waking want warm
warn warning warnings was watch watchdog watched watcher watchers watching way we weak web weight well went
were what when where which while who whole whose why wide width wildcard will window windows wireless with
withdrawn within without wlan word words work worker workers workflow working works workspace world would
wrap write writeable writer writers writes writing written wrong xml yaml yes yet yield you your zero zombie
zone zones
"""

DATES = _DATES.split()
"""Words of dates, as dates have them: ``may`` is none."""
KNOWN = _KNOWN.split()
"""The vocabulary, in lower case; words of it count in upper case and capitalised too."""
